//! JSON: pages as the APIs answer them, one or more in a file, also as a list or a line each; and what the pages hold.
//!
//! Seen documented (OpenAI's OpenAPI of 2026-08): `organization/usage/completions`, `organization/costs`: pages of buckets of
//! results. A field that rows are not grouped by is `null`. `input_tokens` has cached input and cache writes in it.

use super::wire::Fields;
use super::{Input, Problems, Read, Refused, workspace};
use crate::model::{
    BillingSource, Channel, Charge, ChargeKind, Covered, Origin, Quantity, ServiceTier, Timestamp, TokenSums,
};
use serde_json::value::RawValue;

const COMPLETIONS: &str = "organization.usage.completions.result";
const COSTS: &str = "organization.costs.result";

/// A file in the making.
pub(super) struct Making<'i> {
    pub input: Input<'i>,
    pub read: Read,
    pub problems: Problems,
    /// The last row's number.
    pub row: u64,
    /// Times without any result, which are a word, too.
    empty: Vec<(Timestamp, Timestamp)>,
}

/// Reads all documents of a text.
pub(super) fn read(text: &str, input: &Input<'_>) -> Result<Read, Refused> {
    let mut making =
        Making { input: *input, read: Read::default(), problems: Problems::default(), row: 0, empty: Vec::new() };
    let mut documents = 0_u64;
    for document in serde_json::Deserializer::from_str(text).into_iter::<&RawValue>() {
        documents += 1;
        let raw = document.map_err(|e| Refused(format!("document {documents} is no JSON (line {}): {e}", e.line())))?;
        let all: Vec<&RawValue> = if raw.get().starts_with('[') {
            serde_json::from_str(raw.get()).map_err(|e| Refused(e.to_string()))?
        } else {
            vec![raw]
        };
        for one in all {
            let place = format!("document {documents}");
            making.document(one).map_err(|e| Refused(format!("{place}: {e}")))?;
        }
    }
    let Making { mut read, problems, empty, .. } = making;
    problems.none()?;
    // Which API they are of is known from the other buckets.
    if let Some(other) = read.covers.first().cloned() {
        read.covers.extend(empty.into_iter().map(|(start, end)| Covered { start, end, ..other.clone() }));
    }
    Ok(read)
}

impl<'i> Making<'i> {
    /// A page, a bucket, or a row of a workspace.
    fn document(&mut self, raw: &RawValue) -> Result<(), String> {
        let mut fields = Fields::read(raw)?;
        if fields.has("results") || fields.has("result") {
            return self.bucket(fields);
        }
        let Some(data) = fields.list("data")? else { return self.row_of(fields, None) };
        self.read.has_more = fields.flag("has_more")?.unwrap_or(false);
        let workspace = fields.text("workspace_id")?;
        for one in data {
            let fields = Fields::read(one)?;
            match fields.has("results") || fields.has("result") {
                true => self.bucket(fields)?,
                false => self.row_of(fields, workspace.as_deref())?,
            }
        }
        Ok(())
    }

    fn row_of(&mut self, fields: Fields<'_>, workspace: Option<&str>) -> Result<(), String> {
        if !workspace::is_row(&fields) {
            return Err("it is neither a page of organization/usage/completions or organization/costs, nor of a \
                        workspace's usage; docs/billing.md has what can be read"
                .to_string());
        }
        self.row += 1;
        match workspace::json(fields, workspace, self.row, &self.input, &mut self.read.ignored) {
            Ok(charge) => self.add(charge),
            Err(e) => self.problems.add(&format!("row {}", self.row), &e),
        }
        Ok(())
    }

    /// Adds a row that says itself what it is of.
    pub fn add(&mut self, charge: Charge) {
        self.read.covers.push(Covered {
            source: charge.source,
            account: charge.account.clone(),
            invoice: charge.invoice.clone(),
            start: charge.start,
            end: charge.end,
        });
        self.read.charges.push(charge);
    }

    fn bucket(&mut self, mut fields: Fields<'_>) -> Result<(), String> {
        let start = fields.time("start_time")?.ok_or("a bucket has no start_time")?;
        let end = fields.time("end_time")?.ok_or("a bucket has no end_time")?;
        if end <= start {
            return Err(format!("a bucket ends ({}) before it begins ({})", end.to_rfc3339(), start.to_rfc3339()));
        }
        let results = match fields.list("results")? {
            Some(results) => results,
            None => fields.list("result")?.unwrap_or_default(),
        };
        for raw in &results {
            self.row += 1;
            let made = Fields::read(raw).and_then(|fields| self.result(fields, start, end));
            match made {
                Ok(charge) => self.add(charge),
                Err(e) => self.problems.add(&format!("row {} ({})", self.row, start.day()), &e),
            }
        }
        if results.is_empty() {
            self.empty.push((start, end));
        }
        Ok(())
    }

    fn result(&mut self, mut fields: Fields<'_>, start: Timestamp, end: Timestamp) -> Result<Charge, String> {
        let object = fields.text("object")?;
        let source = match object.as_deref() {
            Some(COMPLETIONS) => BillingSource::Usage,
            Some(COSTS) => BillingSource::Costs,
            None if fields.has("amount") => BillingSource::Costs,
            None if fields.has("input_tokens") => BillingSource::Usage,
            Some(other) => return Err(format!("`{other}` is not read; only completions and costs are")),
            None => return Err("it has neither input_tokens nor an amount".to_string()),
        };
        let said = fields.text("organization_id")?;
        let account = self.input.account.map(str::to_string).or(said).unwrap_or_else(|| "openai".to_string());
        let [project, api_key, user, model, line_item] =
            ["project_id", "api_key_id", "user_id", "model", "line_item"].map(|name| fields.text(name));
        let (project, api_key, user, model, line_item) = (project?, api_key?, user?, model?, line_item?);
        let email = fields.text("user_email")?.map(|email| email.to_lowercase());
        let batch = fields.flag("batch")?;
        let tier = match (batch, fields.text("service_tier")?) {
            (Some(true), _) => Some(ServiceTier::Batch),
            (_, tier) => tier.map(|tier| ServiceTier::from_wire(Some(&tier))),
        };
        let tier = tier.map(|tier| tier.name().to_string());
        let usage = if source == BillingSource::Usage { Some(usage(&mut fields)?) } else { None };
        let requests = fields.count("num_model_requests")?;
        let money = if source == BillingSource::Costs { fields.money("amount")? } else { None };
        if source == BillingSource::Costs && money.is_none() {
            return Err("it has no amount".to_string());
        }
        let unit = fields.text("quantity_unit")?;
        let quantity = fields.decimal("quantity")?;
        let quantity = quantity.map(|(pico, _)| Quantity { pico, unit: unit.unwrap_or_default() });
        let batch = batch.filter(|batch| *batch).map(|_| "true".to_string());
        let mut keys: Vec<(String, String)> = [
            ("project_id", &project),
            ("api_key_id", &api_key),
            ("user_id", &user),
            ("model", &model),
            ("line_item", &line_item),
            ("service_tier", &tier),
            ("batch", &batch),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_string(), value.clone()?)))
        .collect();
        keys.extend(fields.rest(&mut self.read.ignored));
        Ok(Charge {
            source,
            kind: ChargeKind::Usage,
            channel: Channel::Api,
            account,
            invoice: String::new(),
            key: key(&keys),
            start,
            end,
            project,
            api_key,
            user,
            email,
            model,
            tier,
            line_item,
            quantity,
            requests,
            usage,
            money,
            credits: None,
            origin: Origin { file: self.input.sha256.to_string(), row: self.row },
        })
    }
}

/// What tells rows apart, as one text.
pub(super) fn key(keys: &[(String, String)]) -> String {
    keys.iter().map(|(name, value)| format!("{name}={value:?}")).collect::<Vec<_>>().join(" ")
}

/// The tokens of a result, which must be possible.
fn usage(fields: &mut Fields<'_>) -> Result<TokenSums, String> {
    let input = fields.count("input_tokens")?.ok_or("it has no input_tokens")?;
    let output = fields.count("output_tokens")?.ok_or("it has no output_tokens")?;
    let cached_input = fields.count("input_cached_tokens")?.unwrap_or(0);
    let write = fields.count("input_cache_write_tokens")?;
    let uncached = fields.count("input_uncached_tokens")?;
    // Of a page that has the uncached tokens, the rest of the input was written to the cache.
    let cache_write = write.or_else(|| uncached.map(|n| input - cached_input - n)).unwrap_or(0);
    let usage = TokenSums { input, cached_input, cache_write, output, reasoning: 0 };
    let parts_fit = cache_write >= 0 && usage.uncached_input() >= 0;
    if !parts_fit || uncached.is_some_and(|n| n != usage.uncached_input()) {
        return Err(format!(
            "its kinds of input tokens do not add up to input_tokens ({input}): cached {cached_input}, cache write {}, uncached {}",
            write.map_or_else(|| "-".to_string(), |n| n.to_string()),
            uncached.map_or_else(|| "-".to_string(), |n| n.to_string())
        ));
    }
    Ok(usage)
}
