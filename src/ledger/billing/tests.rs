//! What must hold of any bill.

use super::*;
use crate::model::{
    Bill, BillingFile, BillingPeriod, BillingSource, Channel, Covered, Currency, Day, Difference, Measured, Money,
    Origin, Pico, Quantity, Reconciled, Share, ShareClass, Timestamp, TokenSums,
};
use proptest::prelude::*;

const UNIT: i128 = 1_000_000_000_000;

fn month() -> BillingPeriod {
    "2026-11".parse().unwrap()
}

fn day(n: u32) -> Day {
    Day::parse(&format!("2026-11-{n:02}")).unwrap()
}

fn charge(source: BillingSource, kind: ChargeKind, row: u64, from: Day, to: Day) -> Charge {
    let is_credits = source == BillingSource::Workspace;
    let chatgpt = is_credits || matches!(kind, ChargeKind::Seat | ChargeKind::CreditPack);
    Charge {
        source,
        kind,
        channel: if chatgpt { Channel::Chatgpt } else { Channel::Api },
        account: "acme".into(),
        invoice: if source == BillingSource::Invoice { "I".into() } else { String::new() },
        key: format!("row={row}"),
        start: from.start(),
        end: to.next().start(),
        project: None,
        api_key: None,
        user: None,
        email: None,
        model: None,
        tier: None,
        line_item: None,
        quantity: None,
        requests: None,
        usage: None,
        money: None,
        credits: None,
        origin: Origin { file: "f".into(), row },
    }
}

fn usd(pico: i128) -> Option<Money> {
    Some(Money { pico: Pico(pico), currency: Currency::usd(), written: None })
}

fn observed_row(team: &str, user: &str, channel: Channel, value: i128) -> ObservedRow {
    ObservedRow {
        owner: [team, "CC", "p", user].map(str::to_string),
        channel: channel.name().into(),
        model: "gpt-6.1-sol".into(),
        tier: "standard".into(),
        responses: 1,
        tokens: TokenSums { input: i64::try_from(value / 1_000_000).unwrap(), ..TokenSums::default() },
        list_usd: if channel == Channel::Api { value } else { 0 },
        credits: if channel == Channel::Chatgpt { value } else { 0 },
        api_equivalent: if channel == Channel::Chatgpt { value / 25 } else { 0 },
        ..ObservedRow::default()
    }
}

fn file(charges: &[Charge]) -> BillingFile {
    BillingFile {
        sha256: "f".into(),
        name: "f".into(),
        imported: Timestamp(0),
        rows: charges.len() as u64,
        covers: Vec::new(),
        whole: false,
        part: false,
        ignored: BTreeMap::new(),
    }
}

fn covered(c: &Charge) -> Covered {
    let (source, account, invoice) = (c.source, c.account.clone(), c.invoice.clone());
    Covered { source, account, invoice, start: c.start, end: c.end }
}

/// A bill with all of the tokens of its tokens' days.
fn bill(charges: Vec<Charge>) -> Bill {
    let tokens = charges.iter().filter(|c| c.source == BillingSource::Usage).map(covered).collect();
    Bill::new(&[BillingFile { covers: tokens, ..file(&charges) }], charges)
}

/// Calls with a plan that has nothing but these.
fn with_plan<T>(method: Option<Method>, fixed: &BTreeMap<String, u32>, work: impl FnOnce(&Plan<'_>) -> T) -> T {
    let (rules, none, methods) = (Rules::default(), BTreeMap::new(), BTreeMap::new());
    let book = PriceBook::builtin();
    work(&Plan {
        method,
        methods: &methods,
        fixed,
        projects: &none,
        api_keys: &none,
        users: &none,
        rules: &rules,
        region_uplift_percent: 0,
        book,
    })
}

fn brief(shares: &[Share]) -> Vec<(&str, &str, &str, i128)> {
    let amount = |share: &Share| share.money.as_ref().map(|m| m.pico.0).or(share.credits.map(|c| c.0)).unwrap_or(0);
    shares.iter().map(|s| (s.class.name(), s.owner[0].as_str(), s.owner[3].as_str(), amount(s))).collect()
}

#[test]
fn what_was_not_observed_and_idle_seats_are_apart() {
    let mut observed = Observed::new(month());
    for (team, user, value) in [("a", "ann", 3 * UNIT), ("b", "bob", UNIT)] {
        observed.insert(day(2), observed_row(team, user, Channel::Chatgpt, value));
    }
    observed.insert(day(3), observed_row("a", "ann", Channel::Api, 6 * UNIT));
    let mut credits = charge(BillingSource::Workspace, ChargeKind::Usage, 1, day(2), day(2));
    credits.credits = Some(Pico(5 * UNIT));
    let mut seats = charge(BillingSource::Invoice, ChargeKind::Seat, 2, day(1), day(30));
    (seats.money, seats.quantity) = (usd(100), Some(Quantity { pico: Pico(3 * UNIT), unit: "seats".into() }));
    let mut cost = charge(BillingSource::Costs, ChargeKind::Usage, 3, day(3), day(3));
    cost.money = usd(10 * UNIT);
    let mut tax = charge(BillingSource::Invoice, ChargeKind::Tax, 4, day(1), day(30));
    tax.money = usd(2 * UNIT);
    let mut pack = charge(BillingSource::Invoice, ChargeKind::CreditPack, 5, day(1), day(30));
    pack.money = usd(5);
    let bill = bill(vec![credits, seats, cost, tax, pack]);
    let all = with_plan(None, &BTreeMap::new(), |plan| allocate(&bill, &observed, plan));
    let shares: Vec<_> = all.iter().map(|one| brief(&one.shares)).collect();
    let nobody = "unattributed";
    assert_eq!(
        shares[0],
        [("allocated", "a", "ann", 3 * UNIT), ("allocated", "b", "bob", UNIT), ("not_observed", nobody, nobody, UNIT)]
    );
    assert_eq!(shares[1], [("allocated", "a", "ann", 34), ("allocated", "b", "bob", 33), ("idle", nobody, nobody, 33)]);
    assert_eq!(shares[2], [("allocated", "a", "ann", 6 * UNIT), ("not_observed", nobody, nobody, 4 * UNIT)]);
    // A tax is spread as what it is on; credits as they were drawn.
    let fifths = |n: i128| n * 2 * UNIT / 10;
    assert_eq!(shares[3], [("allocated", "a", "ann", fifths(6)), ("not_observed", nobody, nobody, fifths(4))]);
    assert_eq!(
        shares[4],
        [("allocated", "a", "ann", 3), ("allocated", "b", "bob", 1), ("not_observed", nobody, nobody, 1)]
    );
}

#[test]
fn a_seat_with_a_name_is_its_users_or_idle() {
    let mut observed = Observed::new(month());
    observed.insert(day(2), observed_row("a", "ann", Channel::Chatgpt, UNIT));
    observed.insert(day(2), observed_row("b", "ann", Channel::Chatgpt, 3 * UNIT));
    let seat = |row: u64, email: &str| Charge {
        money: usd(8),
        email: (!email.is_empty()).then(|| email.into()),
        quantity: email.is_empty().then(|| Quantity { pico: Pico(2 * UNIT), unit: "seats".into() }),
        ..charge(BillingSource::Invoice, ChargeKind::Seat, row, day(1), day(30))
    };
    let bill = bill(vec![seat(1, "ann"), seat(2, "eve"), seat(3, "")]);
    let (all, workspaces) = with_plan(None, &BTreeMap::new(), |plan| {
        let all = allocate(&bill, &observed, plan);
        let workspaces = workspaces(&bill, &all, &observed, plan);
        (all, workspaces)
    });
    let shares: Vec<_> = all.iter().map(|one| brief(&one.shares)).collect();
    let nobody = "unattributed";
    // Of two teams, a seat is shared by tokens. Who has a seat of her own sits on no other.
    assert_eq!(shares[0], [("allocated", "a", "ann", 2), ("allocated", "b", "ann", 6)]);
    assert_eq!(shares[1], [("idle", nobody, "eve", 8)]);
    assert_eq!(shares[2], [("idle", nobody, nobody, 8)]);
    assert_eq!((workspaces[0].seats, workspaces[0].idle_seats), (Some(Pico(4 * UNIT)), Pico(3 * UNIT)));
}

/// Rows of seats of one account are one lot of seats: some were returned, some came later, all last for months.
#[test]
fn seats_are_there_in_each_month_and_idle_once() {
    let mut observed = Observed::new(month());
    observed.insert(day(2), observed_row("a", "ann", Channel::Chatgpt, UNIT));
    let seat = |row: u64, n: i128, pico: i128, days: (u32, u32)| Charge {
        money: usd(pico),
        quantity: Some(Quantity { pico: Pico(n * UNIT), unit: "seats".into() }),
        ..charge(BillingSource::Invoice, ChargeKind::Seat, row, day(days.0), day(days.1))
    };
    let of = |charges: Vec<Charge>| {
        let bill = bill(charges);
        with_plan(None, &BTreeMap::new(), |plan| {
            let all = allocate(&bill, &observed, plan);
            let workspace = workspaces(&bill, &all, &observed, plan).remove(0);
            let mut sums: BTreeMap<&'static str, i128> = BTreeMap::new();
            for share in all.iter().flat_map(|one| &one.shares) {
                *sums.entry(share.class.name()).or_default() += share.money.as_ref().map_or(0, |m| m.pico.0);
            }
            (sums, workspace.seats.map(|seats| seats.0 / UNIT), workspace.idle_seats.0 / UNIT)
        })
    };
    let returned = of(vec![seat(1, 10, 250, (1, 30)), seat(2, -5, -125, (1, 30))]);
    assert_eq!(returned, (BTreeMap::from([("allocated", 25), ("idle", 100)]), Some(5), 4));
    let later = of(vec![seat(1, 2, 50, (1, 30)), seat(2, 1, 25, (1, 30)), seat(3, 1, 25, (20, 30))]);
    assert_eq!(later, (BTreeMap::from([("allocated", 25), ("idle", 75)]), Some(4), 3));
    let renewed = of(vec![seat(1, 4, 100, (1, 15)), seat(2, 4, 100, (16, 30))]);
    assert_eq!(renewed, (BTreeMap::from([("allocated", 50), ("idle", 150)]), Some(4), 3), "the same seats, not eight");
    let mut year = seat(1, 12, 0, (1, 30));
    (year.start, year.end) = (month().first_day().start(), Timestamp(year.start.0 + 360 * 86_400_000_000_000));
    let (_, seats, idle) = of(vec![year]);
    assert_eq!((seats, idle), (Some(12), 11), "a seat is there in each of its months");
}

#[test]
fn who_used_only_what_the_plan_includes_sat_on_her_seat() {
    let mut row = charge(BillingSource::Workspace, ChargeKind::Usage, 1, day(3), day(3));
    (row.email, row.credits, row.requests) = (Some("zoe".into()), Some(Pico(0)), Some(9));
    let mut seat = charge(BillingSource::Invoice, ChargeKind::Seat, 2, day(1), day(30));
    (seat.email, seat.money) = (Some("zoe".into()), usd(25));
    let bill = bill(vec![row, seat]);
    let all = with_plan(None, &BTreeMap::new(), |plan| allocate(&bill, &Observed::new(month()), plan));
    let of_seat = all.iter().find(|one| one.charge.kind == ChargeKind::Seat).unwrap();
    assert_eq!(brief(&of_seat.shares), [("not_observed", "unattributed", "zoe", 25)]);
}

#[test]
fn fixed_weights_are_those_of_the_configuration() {
    let mut cost = charge(BillingSource::Costs, ChargeKind::Usage, 1, day(1), day(1));
    cost.money = usd(-10);
    let fixed = BTreeMap::from([("a".to_string(), 2), ("b".to_string(), 1)]);
    let all = with_plan(Some(Method::Fixed), &fixed, |plan| allocate(&bill(vec![cost]), &Observed::new(month()), plan));
    let nobody = "unattributed";
    assert_eq!(brief(&all[0].shares), [("allocated", "a", nobody, -7), ("allocated", "b", nobody, -3)]);
}

/// The whole sum by reason, of tokens of a kind or of an amount.
fn parts(rows: &[Reconciled], measured: &Measured) -> Vec<(&'static str, i128)> {
    let mut sums: BTreeMap<Difference, i128> = BTreeMap::new();
    for (why, part) in rows.iter().filter(|row| row.measured == *measured).flat_map(|row| &row.parts) {
        *sums.entry(*why).or_default() += part;
    }
    sums.into_iter().map(|(why, part)| (why.name(), part)).collect()
}

fn billed_tokens(row: u64, tier: &str, input: i64, output: i64) -> Charge {
    let mut tokens = charge(BillingSource::Usage, ChargeKind::Usage, row, day(2), day(2));
    tokens.usage = Some(TokenSums { input, output, ..TokenSums::default() });
    (tokens.model, tokens.tier) = (Some("gpt-6.1-sol-2026-09-29".into()), Some(tier.into()));
    tokens
}

fn cost(row: u64, pico: i128) -> Charge {
    let mut cost = charge(BillingSource::Costs, ChargeKind::Usage, row, day(2), day(2));
    (cost.money, cost.line_item) = (usd(pico), Some("gpt-6.1-sol, all".into()));
    cost
}

/// 1000 tokens of input at 2 USD (fast: 4) and 100 of output at 10 (fast: 20) per million.
fn sent(tier: &str) -> Observed {
    let mut observed = Observed::new(month());
    let mut row = observed_row("a", "ann", Channel::Api, 0);
    row.tokens = TokenSums { input: 1000, output: 100, ..TokenSums::default() };
    row.tier = tier.into();
    row.list_usd = if tier == "priority" { 6_000_000_000 } else { 3_000_000_000 };
    observed.insert(day(2), row);
    observed
}

fn reconciled(charges: Vec<Charge>, observed: &Observed, uplift: u8) -> Reconciliation {
    with_plan(None, &BTreeMap::new(), |plan| {
        let plan = Plan { region_uplift_percent: uplift, ..*plan };
        reconcile(&bill(charges), observed, &plan)
    })
}

#[test]
fn differences_have_their_reasons() {
    let money = Measured::Money("USD".into());
    let input = Measured::Tokens("uncached_input");
    let standard = |input, output| billed_tokens(1, "standard", input, output);
    // Equal.
    let made = reconciled(vec![standard(1000, 100), cost(2, 3_000_000_000)], &sent("standard"), 0);
    assert!(made.rows.iter().all(|row| row.parts.is_empty()), "{made:?}");
    assert!(made.notes.contains(&"tokens are compared by day, model, tier, on 1 days".to_string()), "{:?}", made.notes);
    // Asked for fast, served and billed as standard.
    let made = reconciled(vec![standard(1000, 100), cost(2, 3_000_000_000)], &sent("priority"), 0);
    let moved: Vec<_> = made.rows.iter().filter(|row| row.measured == input).map(|row| row.parts.clone()).collect();
    assert_eq!(moved, [vec![(Difference::Tier, -1000)], vec![(Difference::Tier, 1000)]]);
    assert_eq!(parts(&made.rows, &money), [("tier", -3_000_000_000)]);
    // Half of it was not observed.
    let made = reconciled(vec![standard(2000, 200), cost(2, 6_000_000_000)], &sent("standard"), 0);
    assert_eq!(parts(&made.rows, &input), [("not_observed", 1000)]);
    assert_eq!(parts(&made.rows, &money), [("not_observed", 3_000_000_000)]);
    // The same tokens, at another price, and in a region that costs more.
    let made = reconciled(vec![standard(1000, 100), cost(2, 2_400_000_000)], &sent("standard"), 0);
    assert_eq!(parts(&made.rows, &money), [("price", -600_000_000)]);
    let made = reconciled(vec![standard(1000, 100), cost(2, 3_300_000_000)], &sent("standard"), 10);
    assert_eq!(parts(&made.rows, &money), [("region", 300_000_000)]);
    // Without tokens it is only known how much.
    let made = reconciled(vec![cost(2, 2_000_000_000)], &sent("standard"), 0);
    assert_eq!(parts(&made.rows, &money), [("over_observed", -1_000_000_000)]);
    let mut unpriced = sent("standard");
    unpriced.insert(
        day(2),
        ObservedRow { unpriced_tokens: 5, model: "new".into(), ..observed_row("a", "ann", Channel::Api, 0) },
    );
    let mut new = cost(2, 50);
    new.model = Some("new".into());
    let made = reconciled(vec![cost(3, 3_000_000_000), new], &unpriced, 0);
    assert_eq!(parts(&made.rows, &money), [("unpriced", 50)]);
}

/// A web of charges: the model's may be for usage of both projects' teams, and one of these has other usage, too.
#[test]
fn usage_of_a_web_of_charges_explains_as_much_as_it_can() {
    let mut observed = Observed::new(month());
    for (team, model) in [("a", "gpt-6.1-sol"), ("a", "gpt-5.5"), ("b", "gpt-6.1-sol")] {
        observed.insert(day(2), ObservedRow { model: model.into(), ..observed_row(team, "u", Channel::Api, UNIT) });
    }
    let of_project =
        |row: u64, project: &str| Charge { project: Some(project.into()), line_item: None, ..cost(row, UNIT) };
    let bill = bill(vec![of_project(1, "proj_a"), of_project(2, "proj_b"), cost(3, UNIT)]);
    let projects = map(&[("proj_a", "a"), ("proj_b", "b")]);
    let (all, made) = with_plan(None, &BTreeMap::new(), |plan| {
        let plan = Plan { projects: &projects, ..*plan };
        (allocate(&bill, &observed, &plan), reconcile(&bill, &observed, &plan))
    });
    let shares: Vec<_> = all.iter().map(|one| brief(&one.shares)).collect();
    assert_eq!(
        shares,
        [[("allocated", "a", "u", UNIT)], [("allocated", "b", "u", UNIT)], [("allocated", "a", "u", UNIT)]]
    );
    assert_eq!(parts(&made.rows, &Measured::Money("USD".into())), []);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn a_bill_of_just_the_usage_is_of_those_who_used_it(
        usage in prop::collection::vec((2u32..6, 0usize..3, 0usize..2, any::<bool>(), 1..9 * UNIT, (0usize..3, 0usize..4)), 1..16),
    ) {
        // Each usage is billed by one of several charges that say this or that of it, and that others may be for, too.
        let (mut observed, mut charges): (_, BTreeMap<_, i128>) = (Observed::new(month()), BTreeMap::new());
        for (at, team, user, is_sol, value, (says, days)) in usage {
            let (team, model) = (["a", "b", "c"][team], if is_sol { "gpt-6.1-sol" } else { "gpt-5.5" });
            let user = format!("{team}{user}");
            let row = ObservedRow { list_usd: 0, model: model.into(), ..observed_row(team, &user, Channel::Api, 0) };
            observed.insert(day(at), row).list_usd += value;
            let days = [(at, at), (2, at), (at, 5), (2, 5)][days];
            let (project, user, model) =
                [(Some(team), None, None), (None, Some(user), None), (None, None, Some(model))][says].clone();
            *charges.entry((days, project, user, model)).or_default() += value;
        }
        let one = |(i, ((days, project, email, model), pico)): (usize, (_, i128))| Charge {
            project: Option::<&str>::map(project, |team| format!("proj_{team}")),
            email,
            line_item: Option::<&str>::map(model, str::to_string),
            money: usd(pico),
            ..charge_of(BillingSource::Costs, i, days)
        };
        let bill = bill(charges.into_iter().enumerate().map(one).collect());
        let projects = map(&[("proj_a", "a"), ("proj_b", "b"), ("proj_c", "c")]);
        let all = with_plan(None, &BTreeMap::new(), |plan| allocate(&bill, &observed, &Plan { projects: &projects, ..*plan }));
        let mut teams: BTreeMap<&str, i128> = BTreeMap::new();
        for share in all.iter().flat_map(|one| &one.shares) {
            prop_assert_eq!(share.class, ShareClass::Allocated);
            *teams.entry(&share.owner[0]).or_default() += share.money.as_ref().unwrap().pico.0;
        }
        observed.month(Channel::Api).for_each(|(_, row)| *teams.entry(&row.owner[0]).or_default() -= row.list_usd);
        prop_assert!(teams.values().all(|off| off.abs() <= all.len() as i128), "{:?}", teams);
    }
}

/// What was not observed was billed at the same price as what was.
#[test]
fn tokens_that_were_not_observed_have_their_part_of_another_price() {
    let paid = |charges: Vec<Charge>| {
        let bill = bill(charges);
        with_plan(None, &BTreeMap::new(), |plan| {
            let rows = reconcile(&bill, &sent("standard"), plan).rows;
            let all = allocate(&bill, &sent("standard"), plan);
            let shares: Vec<_> = all
                .iter()
                .flat_map(|one| &one.shares)
                .map(|share| (share.class.name(), share.money.as_ref().unwrap().pico.0))
                .collect();
            (parts(&rows, &Measured::Money("USD".into())), shares)
        })
    };
    // 3 of 6 thousandths at list were observed, for which 4.5 were billed, or 9.
    for (billed, not_observed, price) in
        [(4_500_000_000, 2_250_000_000, -750_000_000), (9_000_000_000, 4_500_000_000, 1_500_000_000)]
    {
        let (explained, shares) = paid(vec![billed_tokens(1, "standard", 2000, 200), cost(2, billed)]);
        assert_eq!(explained, [("price", price), ("not_observed", not_observed)]);
        assert_eq!(shares, [("allocated", billed - not_observed), ("not_observed", not_observed)]);
    }
    // Of tokens without a price nothing is known but that they were not observed.
    let other = Charge { model: Some("gpt-99".into()), ..billed_tokens(3, "standard", 1000, 0) };
    let whole = Charge { line_item: None, ..cost(2, 5_000_000_000) };
    let (explained, shares) = paid(vec![billed_tokens(1, "standard", 1000, 100), other, whole]);
    assert_eq!(explained, [("not_observed", 2_000_000_000)]);
    assert_eq!(shares, [("allocated", 3_000_000_000), ("not_observed", 2_000_000_000)]);
}

#[test]
fn what_is_no_model_is_held_against_nothing_else() {
    let mut observed = sent("standard");
    let fees = ObservedRow { fees_usd: 7, tier: "flex".into(), ..observed_row("b", "bob", Channel::Api, 0) };
    observed.insert(day(2), fees);
    let other = |row, item: &str, pico| Charge { line_item: Some(item.into()), ..cost(row, pico) };
    let charges = vec![
        other(1, "GPT-6.1-sol-2026-09-29 | input", 3_000_000_000),
        other(2, "Web search tool calls", 7),
        other(3, "text-embedding-3-small, input", 5),
    ];
    let made = reconciled(charges.clone(), &observed, 0);
    assert_eq!(parts(&made.rows, &Measured::Money("USD".into())), [("not_observed", 5)]);
    let all = with_plan(None, &BTreeMap::new(), |plan| allocate(&bill(charges), &observed, plan));
    let shares: Vec<_> = all.iter().flat_map(|one| brief(&one.shares)).collect();
    let nobody = "unattributed";
    assert_eq!(
        shares,
        [("allocated", "a", "ann", 3_000_000_000), ("allocated", "b", "bob", 7), ("not_observed", nobody, nobody, 5)]
    );
}

#[test]
fn days_that_no_export_tells_of_are_not_compared() {
    let mut observed = sent("standard");
    observed.insert(day(9), observed_row("a", "ann", Channel::Api, UNIT));
    let made = reconciled(vec![billed_tokens(1, "standard", 1000, 100), cost(2, 3_000_000_000)], &observed, 0);
    assert!(made.rows.iter().all(|row| row.parts.is_empty()), "{made:?}");
    let note = "1 responses were observed on days that are in no export of costs: not compared";
    assert!(made.notes.contains(&note.to_string()), "{:?}", made.notes);
}

fn kinds() -> impl Strategy<Value = ChargeKind> {
    prop::sample::select(ChargeKind::ALL.to_vec())
}

fn sources() -> impl Strategy<Value = BillingSource> {
    prop::sample::select(vec![BillingSource::Costs, BillingSource::Workspace, BillingSource::Invoice])
}

prop_compose! {
    fn charges()(
        rows in prop::collection::vec((sources(), kinds(), 1u32..=30, 0u32..60, any::<i64>(), 0i128..9, any::<bool>()), 0..12)
    ) -> Vec<Charge> {
        rows.into_iter().enumerate().map(|(i, (source, kind, from, days, pico, seats, named))| {
            let to = (0..days).fold(day(from), |day, _| day.next());
            let mut charge = charge(source, kind, i as u64 + 1, day(from), to);
            match source {
                BillingSource::Workspace => charge.credits = Some(Pico(i128::from(pico).abs())),
                _ => charge.money = usd(pico.into()),
            }
            charge.quantity = Some(Quantity { pico: Pico(seats * UNIT), unit: "seats".into() });
            charge.email = named.then(|| format!("u{}", seats % 4));
            charge
        }).collect()
    }
}

prop_compose! {
    fn usage()(rows in prop::collection::vec((1u32..=30, 0usize..3, 0usize..4, any::<bool>(), 0i128..1 << 62), 0..20)) -> Observed {
        let mut observed = Observed::new(month());
        for (at, team, user, api, value) in rows {
            let channel = if api { Channel::Api } else { Channel::Chatgpt };
            observed.insert(day(at), observed_row(["a", "b", "c"][team], ["u0", "u1", "u2", "u3"][user], channel, value));
        }
        observed
    }
}

proptest! {
    #[test]
    fn what_was_observed_and_the_differences_are_what_was_billed(
        charges in charges(),
        tokens in prop::collection::vec((0usize..3, 0i64..5_000, 0i64..500), 0..6),
        observed in usage(),
        uplift in 0u8..30,
    ) {
        let of_tier = |(i, (tier, input, output)): (usize, (usize, i64, i64))| {
            billed_tokens(100 + i as u64, ["standard", "priority", "flex"][tier], input, output)
        };
        let tokens: Vec<Charge> = tokens.into_iter().enumerate().map(of_tier).collect();
        let all = bill(charges.iter().cloned().chain(tokens.iter().cloned()).collect());
        let made = with_plan(None, &BTreeMap::new(), |plan| {
            reconcile(&all, &observed, &Plan { region_uplift_percent: uplift, ..*plan })
        });
        let (mut billed, mut usd, mut input) = (0, 0, 0);
        for row in &made.rows {
            prop_assert_eq!(row.residual(), 0);
            match &row.measured {
                Measured::Money(_) => usd += row.billed,
                Measured::Credits => billed += row.billed,
                Measured::Tokens("uncached_input") => input += row.billed,
                Measured::Tokens(_) => {}
            }
            let tokens = matches!(row.measured, Measured::Tokens(_));
            prop_assert!(!tokens || row.parts.iter().all(|(_, part)| part.abs() <= (row.billed - row.observed).abs()));
        }
        // Nothing that was billed is left out.
        let of_month = |is_usd: bool| -> i128 {
            let usage = all.counted_in(month()).filter(|c| c.kind == ChargeKind::Usage);
            usage.filter_map(|c| if is_usd { c.money.map(|m| m.pico.0) } else { c.credits.map(|c| c.0) }).sum()
        };
        prop_assert_eq!((usd, billed), (of_month(true), of_month(false)));
        prop_assert_eq!(input, tokens.iter().filter_map(|c| c.usage).map(|u| i128::from(u.input)).sum::<i128>());
    }

    #[test]
    fn shares_add_up_to_their_charge_and_months_to_the_whole(
        charges in charges(),
        observed in usage(),
        method in prop::option::of(prop::sample::select(Method::ALL.to_vec())),
    ) {
        let fixed = BTreeMap::from([("a".to_string(), 3), ("b".to_string(), 2)]);
        let all = with_plan(method, &fixed, |plan| allocate(&bill(charges.clone()), &observed, plan));
        for one in &all {
            let money: i128 = one.shares.iter().filter_map(|s| s.money.as_ref()).map(|m| m.pico.0).sum();
            let credits: i128 = one.shares.iter().filter_map(|s| s.credits).map(|c| c.0).sum();
            prop_assert_eq!(money, one.charge.money.as_ref().map_or(0, |m| m.pico.0));
            prop_assert_eq!(credits, one.charge.credits.map_or(0, |c| c.0));
        }
        for whole in &charges {
            let months = std::iter::successors(Some(month()), |month| Some(month.next())).take(4);
            let parts: Vec<Charge> = months.filter_map(|month| whole.part(month)).collect();
            let sum: i128 = parts.iter().filter_map(|part| part.money.as_ref()).map(|money| money.pico.0).sum();
            prop_assert_eq!(sum, whole.money.as_ref().map_or(0, |money| money.pico.0));
            prop_assert_eq!(parts.first().map(|part| part.start), Some(whole.start));
            prop_assert_eq!(parts.last().map(|part| part.end), Some(whole.end));
        }
    }

    #[test]
    fn rows_of_files_in_any_order_stand_once(order in Just((0usize..6).collect::<Vec<_>>()).prop_shuffle(), cut in 1u32..30) {
        // Six exports of the same month that overlap, with the same figures.
        let export = |n: usize| {
            let (from, to) = [(1, 30), (1, cut), (cut, 30), (1, 30), (cut, cut), (2, 29)][n];
            let one = |d: u32| {
                let mut cost = charge(BillingSource::Costs, ChargeKind::Usage, d.into(), day(d), day(d));
                (cost.money, cost.origin.file) = (usd(d.into()), format!("f{n}"));
                cost.key = "item".into();
                cost
            };
            (from.min(to)..=to).map(one).collect::<Vec<_>>()
        };
        let files: Vec<BillingFile> = order.iter().map(|n| {
            let rows = export(*n);
            let covers = rows.iter().map(covered).collect();
            BillingFile { sha256: format!("f{n}"), covers, whole: n % 2 == 0, ..file(&rows) }
        }).collect();
        let all: Vec<Charge> = order.iter().flat_map(|n| export(*n)).collect();
        let bill = Bill::new(&files, all.into_iter().rev().collect());
        let sum: i128 = bill.counted().filter_map(|c| c.money.as_ref()).map(|money| money.pico.0).sum();
        prop_assert_eq!(sum, (1..=30).sum::<i128>());
        prop_assert_eq!(bill.counted().count(), 30);
    }
}

#[test]
fn credits_that_an_invoice_has_again_are_not_observed_once() {
    let mut observed = Observed::new(month());
    observed.insert(day(2), observed_row("a", "ann", Channel::Chatgpt, 10 * UNIT));
    let drawn = |row: u64, user: &str| Charge {
        email: Some(user.into()),
        credits: Some(Pico(10 * UNIT)),
        ..charge(BillingSource::Workspace, ChargeKind::Usage, row, day(2), day(2))
    };
    let invoiced = |row: u64, kind: ChargeKind, pico: i128| Charge {
        channel: Channel::Chatgpt,
        money: usd(pico),
        credits: (kind == ChargeKind::Usage).then_some(Pico(20 * UNIT)),
        ..charge(BillingSource::Invoice, kind, row, day(1), day(30))
    };
    let charges =
        vec![drawn(1, "ann"), drawn(2, "bob"), invoiced(3, ChargeKind::Usage, 80), invoiced(4, ChargeKind::Tax, 20)];
    let (source, account, invoice) = (BillingSource::Workspace, "acme".to_string(), String::new());
    let all = Covered { source, account, invoice, start: day(1).start(), end: day(30).next().start() };
    let bill = Bill::new(&[BillingFile { covers: vec![all], ..file(&charges) }], charges);
    let shares = with_plan(None, &BTreeMap::new(), |plan| allocate(&bill, &observed, plan));
    let money: Vec<_> = shares.iter().filter(|one| one.charge.money.is_some()).map(|one| brief(&one.shares)).collect();
    let nobody = "unattributed";
    assert_eq!(money[0], [("allocated", "a", "ann", 40), ("not_observed", nobody, nobody, 40)]);
    assert_eq!(money[1], [("allocated", "a", "ann", 10), ("not_observed", nobody, "bob", 10)]);
}

/// Charges of whom it is known and of whom it is not, at the same time, and usage by all of them.
fn partly_known() -> impl Strategy<Value = (Vec<Charge>, Observed)> {
    prop_oneof![3 => Just(1), 1 => Just(3_000_017)].prop_flat_map(partly_known_of)
}

/// The same, of such an amount or of one that no weight can hold as it is.
fn partly_known_of(times: i128) -> impl Strategy<Value = (Vec<Charge>, Observed)> {
    let id = |names: [&'static str; 4]| prop::sample::select(names.to_vec());
    let what = (any::<bool>(), prop::sample::select(vec![(2, 2), (2, 2), (2, 2), (3, 3), (1, 30), (2, 15)]));
    let whom = (id(["", "proj_a", "proj_b", "proj_x"]), id(["", "user-u", "user-v", "user-x"]));
    let model = id(["", "gpt-6.1-sol", "gpt-5.5", "web search"]);
    let charge = (what, whom, model, prop_oneof![4 => 0..40 * UNIT, 1 => -9 * UNIT..0]);
    let charges = prop::collection::vec(charge, 0..10).prop_map(move |all| {
        let one = |(i, ((api, (from, to)), (project, user), model, pico)): (usize, _)| {
            let pico: i128 = pico * times;
            let source = if api { BillingSource::Costs } else { BillingSource::Workspace };
            let known = |id: &str| (!id.is_empty()).then(|| id.to_string());
            let mut one = charge_of(source, i, (from, to));
            (one.project, one.user) = (known(project), known(user));
            (if api { &mut one.line_item } else { &mut one.model }).clone_from(&known(model));
            if api {
                one.money = usd(pico)
            } else {
                one.credits = Some(Pico(pico))
            }
            one
        };
        all.into_iter().enumerate().map(one).collect()
    });
    let row = (2u32..4, 0usize..3, 0usize..3, any::<bool>(), any::<bool>(), 0..20 * UNIT, 0i64..3);
    let observed = prop::collection::vec(row, 0..10).prop_map(move |rows| {
        let mut observed = Observed::new(month());
        for (at, team, user, api, is_sol, value, unpriced) in rows {
            let channel = if api { Channel::Api } else { Channel::Chatgpt };
            let value: i128 = value * times;
            let row = observed_row(["a", "b", "c"][team], ["u", "v", "w"][user], channel, value);
            let model = if is_sol { "gpt-6.1-sol" } else { "gpt-5.5" };
            let fees_usd = if api { value / 5 } else { 0 };
            let unpriced_tokens = (unpriced == 1).into();
            observed.insert(day(at), ObservedRow { model: model.into(), fees_usd, unpriced_tokens, ..row });
        }
        observed
    });
    (charges, observed)
}

fn charge_of(source: BillingSource, i: usize, (from, to): (u32, u32)) -> Charge {
    charge(source, ChargeKind::Usage, i as u64 + 1, day(from), day(to))
}

fn map(of: &[(&str, &str)]) -> BTreeMap<String, String> {
    of.iter().map(|(id, name)| (id.to_string(), name.to_string())).collect()
}

/// Tokens of the same organisation, which say other things of what they are for than amounts do.
fn billed_as_tokens() -> impl Strategy<Value = Vec<Charge>> {
    let project = prop::sample::select(vec!["", "proj_a", "proj_b", "proj_x"]);
    let model = prop::sample::select(vec!["", "gpt-6.1-sol", "gpt-6.1-sol", "gpt-5.5", "gpt-5.5", "gpt-99"]);
    let one = (2u32..4, project, model, 0i64..20_000_000);
    prop_oneof![
        Just(Vec::new()).boxed(),
        prop::collection::vec(one, 1..6)
            .prop_map(|all| {
                let one = |(i, (at, project, model, input)): (usize, (u32, &str, &str, i64))| Charge {
                    project: (!project.is_empty()).then(|| project.into()),
                    model: (!model.is_empty()).then(|| model.into()),
                    usage: Some(TokenSums { input, ..TokenSums::default() }),
                    ..charge_of(BillingSource::Usage, 200 + i, (at, at))
                };
                all.into_iter().enumerate().map(one).collect()
            })
            .boxed()
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1024))]
    #[test]
    fn usage_stands_behind_one_charge(
        (mut charges, observed) in partly_known(),
        (tokens, are_all) in (billed_as_tokens(), any::<bool>()),
        others in prop::collection::vec((2u32..4, 0i64..9_000_000), 0..3),
        uplift in prop_oneof![Just(0u8), 0u8..30],
    ) {
        // Tokens of another organisation explain nothing.
        charges.extend(others.into_iter().enumerate().map(|(i, (at, input))| Charge {
            account: "org2".into(),
            model: Some("gpt-6.1-sol".into()),
            usage: Some(TokenSums { input, ..TokenSums::default() }),
            ..charge_of(BillingSource::Usage, 100 + i, (at, at))
        }));
        let (projects, users) = (map(&[("proj_a", "a"), ("proj_b", "b")]), map(&[("user-u", "u"), ("user-v", "V")]));
        let has_tokens = !tokens.is_empty();
        charges.extend(tokens);
        let mut covers: Vec<Covered> = charges.iter().filter(|c| c.source == BillingSource::Usage).map(covered).collect();
        if has_tokens && are_all {
            let month = charge_of(BillingSource::Usage, 0, (1, 30));
            covers.push(covered(&month));
        }
        let bill = Bill::new(&[BillingFile { covers, ..file(&charges) }], charges);
        let (all, made) = with_plan(None, &BTreeMap::new(), |plan| {
            let plan = Plan { projects: &projects, users: &users, region_uplift_percent: uplift, ..*plan };
            (allocate(&bill, &observed, &plan), reconcile(&bill, &observed, &plan))
        });
        let amount = |money: &Option<Money>, credits: Option<Pico>| money.as_ref().map(|m| m.pico).or(credits).map_or(0, |n| n.0);
        for (measured, channel) in [(Measured::Money("USD".into()), Channel::Api), (Measured::Credits, Channel::Chatgpt)] {
            let mut allocated: BTreeMap<[String; 4], i128> = BTreeMap::new();
            let (mut not_observed, mut n) = (0, 0);
            // Weights of large amounts are rounded.
            let amounts = all.iter().map(|one| amount(&one.charge.money, one.charge.credits).abs());
            let rounded = 1 + (amounts.sum::<i128>() >> 60);
            for one in all.iter().filter(|one| one.charge.channel == channel) {
                prop_assert!(one.charge.usage.is_none());
                let sum: i128 = one.shares.iter().map(|share| amount(&share.money, share.credits)).sum();
                prop_assert_eq!(sum, amount(&one.charge.money, one.charge.credits));
                for share in &one.shares {
                    let amount = amount(&share.money, share.credits);
                    match share.class {
                        ShareClass::NotObserved => not_observed += amount,
                        _ => *allocated.entry(share.owner.clone()).or_default() += amount,
                    }
                }
                n += 1;
            }
            // Both say the same of what was not observed.
            let parts = parts(&made.rows, &measured);
            let said: i128 = parts.iter().filter(|(why, _)| *why == "not_observed").map(|(_, part)| part).sum();
            prop_assert_eq!(not_observed, said, "{:?}", parts);
            // Nobody pays for usage twice, but for what has other reasons.
            let other: i128 = parts.iter().filter(|(why, _)| ["region", "unpriced"].contains(why)).map(|(_, part)| part).sum();
            // Of tokens that are the same, whatever was billed is of those who used them.
            let are_explained = has_tokens && channel == Channel::Api;
            for (owner, paid) in allocated.into_iter().filter(|_| !are_explained) {
                let used = observed.month(channel).filter(|(_, row)| row.owner == owner);
                let used: i128 = used.map(|(_, row)| row.list_usd + row.fees_usd + row.credits).sum();
                prop_assert!(paid <= used + other + n * rounded, "{:?} pays {} for {}", owner, paid, used);
            }
        }
        prop_assert!(made.rows.iter().all(|row| row.residual() == 0));
    }
}

#[test]
fn a_share_class_is_told_by_its_name() {
    let classes = [ShareClass::Allocated, ShareClass::Idle, ShareClass::NotObserved];
    assert_eq!(classes.map(ShareClass::name), ["allocated", "idle", "not_observed"]);
}
