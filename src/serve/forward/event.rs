//! What a response costs and who pays, as a log record of OTLP.

use crate::model::{Amount, Line, OwnerField, Timestamp, Unit, format_pico};
use serde_json::{Value, json};

/// The name of the event.
pub(super) const NAME: &str = "codex_tally.response_cost";

/// A request with one record for each line. Token counts have OpenTelemetry's names where it has any; amounts are texts, because
/// a float would change them.
pub(super) fn request(lines: &[&Line], price_book: &str, now: Timestamp) -> Vec<u8> {
    let records: Vec<Value> = lines.iter().map(|line| record(line, price_book, now)).collect();
    let resource = attributes([
        ("service.name", Some(json!("codex-tally"))),
        ("service.version", Some(json!(env!("CARGO_PKG_VERSION")))),
    ]);
    let scope = json!({"scope": {"name": "codex-tally"}, "logRecords": records});
    json!({"resourceLogs": [{"resource": {"attributes": resource}, "scopeLogs": [scope]}]}).to_string().into_bytes()
}

fn record(line: &Line, price_book: &str, now: Timestamp) -> Value {
    let (response, owner) = (&line.response, &line.response.owner);
    let amount = |unit: Unit, amount: Option<Amount>| {
        amount.filter(|a| a.unit == unit).map(|a| json!(format_pico(a.pico.into())))
    };
    let field = |field: &OwnerField| field.is_attributed().then(|| json!(field.value));
    let usage = &response.usage;
    let mut all = attributes([
        ("event.name", Some(json!(NAME))),
        ("conversation.id", Some(json!(response.thread.as_str()))),
        ("session.id", Some(json!(response.session.as_str()))),
        ("turn.id", response.turn.as_ref().map(|turn| json!(turn))),
        ("gen_ai.response.id", response.response_id.as_ref().map(|id| json!(id))),
        ("gen_ai.request.model", response.model.as_ref().map(|model| json!(model))),
        ("openai.request.service_tier", Some(json!(response.tier.to_string()))),
        ("gen_ai.usage.input_tokens", Some(json!(usage.input))),
        ("gen_ai.usage.cache_read.input_tokens", Some(json!(usage.cached_input))),
        ("gen_ai.usage.cache_creation.input_tokens", Some(json!(usage.cache_write))),
        ("gen_ai.usage.output_tokens", Some(json!(usage.output))),
        ("gen_ai.usage.reasoning.output_tokens", Some(json!(usage.reasoning))),
        ("codex_tally.channel", Some(json!(response.channel.name()))),
        ("codex_tally.list_usd", amount(Unit::Usd, line.priced.list)),
        ("codex_tally.chatgpt_credits", amount(Unit::Credit, line.priced.list)),
        ("codex_tally.api_equivalent_usd", amount(Unit::Usd, line.priced.api_equivalent)),
        ("codex_tally.contract_usd", amount(Unit::Usd, line.priced.contract)),
        ("codex_tally.unpriced", line.priced.unpriced.as_ref().map(|why| json!(why.to_string()))),
        ("codex_tally.price_book", Some(json!(price_book))),
        ("codex_tally.line", Some(json!(response.line_id()))),
        ("codex_tally.share", line.share.map(|(weight, of)| json!(format!("{weight}/{of}")))),
        ("team.id", field(&owner.team)),
        ("cost_centre", field(&owner.cost_centre)),
        ("project", field(&owner.project)),
        ("user", field(&owner.user)),
    ]);
    all.extend(
        owner.labels.iter().filter_map(|(name, label)| Some(attribute(&format!("label.{name}"), field(label)?))),
    );
    json!({
        "timeUnixNano": response.time.0.to_string(),
        "observedTimeUnixNano": now.0.to_string(),
        "eventName": NAME,
        "severityNumber": 9,
        "attributes": all,
    })
}

/// What is known; an attribute without a value is left out.
fn attributes<const N: usize>(pairs: [(&str, Option<Value>); N]) -> Vec<Value> {
    pairs.into_iter().filter_map(|(name, value)| Some(attribute(name, value?))).collect()
}

fn attribute(name: &str, value: Value) -> Value {
    let value = match value {
        // 64-bit integers are texts in OTLP's JSON.
        Value::Number(n) => json!({"intValue": n.to_string()}),
        other => json!({"stringValue": other}),
    };
    json!({"key": name, "value": value})
}
