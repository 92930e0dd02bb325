//! A second ledger, as simple as can be: it reads the price file itself, counts in wide integers and shares no code with the
//! first. Ten thousand responses of any model, day, tier, size and channel must cost the same in both.

use std::collections::BTreeMap;

use codex_tally::model::{
    Body, Channel, KeyBuilder, Meta, Observation, Response, SourceKind, ThreadId, Timestamp, TokenUsage, Unit,
};
use toml::{Table, Value};

use crate::support::capture::Random;
use crate::support::observed::ledger;

const CASES: usize = 10_000;

/// What a response is expected to cost: on the list of its channel, and on the API list for comparison.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
struct Cost {
    usd: Option<i128>,
    credits: Option<i128>,
    compared: Option<i128>,
    unpriced: bool,
}

struct Case {
    model: String,
    tier: Option<&'static str>,
    channel: Channel,
    /// `YYYY-MM-DD`, and that day's first moment in milliseconds.
    day: (String, i64),
    usage: TokenUsage,
}

/// A decimal of at most six digits after the point, in millionths.
fn millionths(text: &str) -> i128 {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let digits = format!("{whole}{fraction:0<6}");
    digits.parse().unwrap()
}

fn text<'t>(table: &'t Table, key: &str) -> Option<&'t str> {
    table.get(key).map(|value| value.as_str().unwrap())
}

fn tables<'t>(table: &'t Table, key: &str) -> Vec<&'t Table> {
    let list = table.get(key).map(|value| value.as_array().unwrap().as_slice());
    list.unwrap_or_default().iter().map(|value| value.as_table().unwrap()).collect()
}

/// The last period that had begun.
fn period<'t>(model: &'t Table, list: &str, day: &str) -> Option<&'t Table> {
    tables(model, list).into_iter().rfind(|p| text(p, "effective_from").unwrap() <= day)
}

fn tier_name(tier: Option<&str>) -> &str {
    match tier {
        None | Some("default" | "auto") => "standard",
        Some("fast") => "priority",
        Some(other) => other,
    }
}

fn cost(rates: &Table, usage: &TokenUsage) -> i128 {
    let rate = |key: &str| millionths(text(rates, key).or(text(rates, "input")).unwrap());
    let plain = usage.input - usage.cached_input - usage.cache_write;
    i128::from(plain) * rate("input")
        + i128::from(usage.cached_input) * rate("cached")
        + i128::from(usage.cache_write) * rate("write")
        + i128::from(usage.output) * rate("output")
}

fn usd(model: &Table, case: &Case) -> Option<i128> {
    let (period, tier) = (period(model, "usd", &case.day.0)?, tier_name(case.tier));
    let later = period.get("tier_from").and_then(|t| t.get(tier)).map(|day| day.as_str().unwrap());
    if later.is_some_and(|day| case.day.0.as_str() < day) {
        return None;
    }
    let above = period.get("long_above").map(|n| n.as_integer().unwrap());
    let long = above.is_some_and(|above| i128::from(case.usage.input) > i128::from(above));
    let rates = period.get(if long { "long" } else { "short" })?.get(tier)?;
    Some(cost(rates.as_table().unwrap(), &case.usage))
}

fn credits(model: &Table, case: &Case) -> Option<i128> {
    let period = period(model, "credits", &case.day.0)?;
    let once = cost(period["rates"].as_table().unwrap(), &case.usage);
    match tier_name(case.tier) {
        "standard" => Some(once),
        "priority" => {
            let times = once * millionths(text(period, "fast_multiplier")?);
            assert_eq!(times % 1_000_000, 0, "exact");
            Some(times / 1_000_000)
        }
        _ => None,
    }
}

fn expected(models: &BTreeMap<&str, &Table>, case: &Case) -> Cost {
    let model = models.get(case.model.as_str());
    let (usd, credits) = (model.and_then(|m| usd(m, case)), model.and_then(|m| credits(m, case)));
    let none = Cost { usd: None, credits: None, compared: None, unpriced: false };
    match case.channel {
        Channel::Api => Cost { usd, unpriced: usd.is_none(), ..none },
        Channel::Chatgpt => Cost { credits, compared: usd, unpriced: credits.is_none(), ..none },
        Channel::Local => none,
        Channel::Unknown => Cost { compared: usd, unpriced: true, ..none },
    }
}

/// Days since 1970 as a date: a count through the months, one after another.
fn date(mut days: i64) -> String {
    for year in 1970.. {
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        for (month, mut length) in (1..).zip([31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]) {
            length += i64::from(month == 2 && leap);
            if days < length {
                return format!("{year:04}-{month:02}-{:02}", days + 1);
            }
            days -= length;
        }
    }
    unreachable!("the years do not end")
}

fn case(models: &[&str], random: &mut Random) -> Case {
    const TIERS: [Option<&str>; 9] = [
        None,
        None,
        Some("default"),
        Some("auto"),
        Some("priority"),
        Some("fast"),
        Some("flex"),
        Some("ultrafast"),
        Some("warp"),
    ];
    const CHANNELS: [Channel; 6] =
        [Channel::Api, Channel::Api, Channel::Chatgpt, Channel::Chatgpt, Channel::Local, Channel::Unknown];
    // From the beginning of 2026 to the middle of 2027; input around the limits of long context, and far from them.
    let day = 20_454 + random.below(550) as i64;
    let input = match random.below(4) {
        0 => 271_990 + random.below(20),
        1 => random.below(2_000_000),
        _ => random.below(300_000),
    };
    let cached = random.below(input + 1);
    let written = if random.below(3) == 0 { random.below(input - cached + 1) } else { 0 };
    let output = random.below(130_000);
    let n = |n: usize| n as u64;
    Case {
        model: if random.below(50) == 0 { "gpt-0-nobody".into() } else { models[random.below(models.len())].into() },
        tier: TIERS[random.below(TIERS.len())],
        channel: CHANNELS[random.below(CHANNELS.len())],
        day: (date(day), day * 86_400_000),
        usage: TokenUsage {
            input: n(input),
            cached_input: n(cached),
            cache_write: n(written),
            output: n(output),
            reasoning: n(random.below(output + 1)),
        },
    }
}

/// What a transcript says of a response in a thread of its own, somewhere in its day.
fn observations(n: usize, case: &Case, random: &mut Random) -> [Observation; 2] {
    let thread = ThreadId::new(&format!("01a1fbc1-b2d8-74a2-955e-{n:012x}")).unwrap();
    let provider = match case.channel {
        Channel::Api => "corp",
        Channel::Chatgpt | Channel::Unknown => "openai",
        Channel::Local => "ollama",
    };
    let provider = Some(provider.to_string());
    let account = (case.channel == Channel::Chatgpt).then(|| "account".to_string());
    let time = Timestamp::from_millis(case.day.1 + random.below(86_400_000) as i64);
    let response = Response {
        turn: Some(format!("turn-{n}")),
        response_id: Some("r".into()),
        usage: case.usage,
        model: Some(case.model.clone()),
        tier: case.tier.map(str::to_string),
        provider,
        ..Response::default()
    };
    let bodies = [Body::Meta(Box::new(Meta { account, ..Meta::default() })), Body::Response(Box::new(response))];
    bodies.map(|body| Observation {
        key: KeyBuilder::new(if matches!(body, Body::Meta(_)) { "meta" } else { "tur" }).part(thread.as_str()).build(),
        thread: thread.clone(),
        source: SourceKind::Transcript,
        time,
        body,
    })
}

#[test]
fn a_naive_ledger_agrees_on_ten_thousand_responses() {
    let file: Table = include_str!("../../pricing/openai.toml").parse().unwrap();
    let mut models: BTreeMap<&str, &Table> =
        tables(&file, "model").into_iter().map(|model| (text(model, "name").unwrap(), model)).collect();
    for (alias, target) in file["aliases"].as_table().into_iter().flatten() {
        let target = models[Value::as_str(target).unwrap()];
        models.insert(alias, target);
    }
    let names: Vec<&str> = models.keys().copied().collect();

    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let cases: Vec<Case> = (0..CASES).map(|_| case(&names, &mut random)).collect();
    let observed: Vec<_> = cases.iter().enumerate().flat_map(|(n, c)| observations(n, c, &mut random)).collect();
    let ledger = ledger(&observed);
    assert_eq!(ledger.lines.len(), CASES);

    let (mut priced, mut sums, mut wanted_sums) = (0, [0; 2], [0; 2]);
    for line in &ledger.lines {
        let n = usize::from_str_radix(&line.response.thread.as_str()[24..], 16).unwrap();
        let (case, list) = (&cases[n], line.priced.list);
        let of = |unit: Unit| list.filter(|a| a.unit == unit).map(|a| i128::from(a.pico));
        let found = Cost {
            usd: of(Unit::Usd),
            credits: of(Unit::Credit),
            compared: line.priced.api_equivalent.map(|a| i128::from(a.pico)),
            unpriced: line.priced.unpriced.is_some(),
        };
        let wanted = expected(&models, case);
        let Case { model, tier, channel, day, usage } = case;
        assert_eq!(line.response.channel, *channel);
        assert_eq!(found, wanted, "{model} {tier:?} {channel} {} {usage:?}: {:?}", day.0, line.priced);
        priced += usize::from(list.is_some());
        sums = [sums[0] + found.usd.unwrap_or(0), sums[1] + found.credits.unwrap_or(0)];
        wanted_sums = [wanted_sums[0] + wanted.usd.unwrap_or(0), wanted_sums[1] + wanted.credits.unwrap_or(0)];
    }
    assert_eq!(sums, wanted_sums);
    assert!(priced > CASES / 4, "{priced} of the cases have a price: too few to tell");
}
