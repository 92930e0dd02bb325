//! A company for a year: 200 developers in 30 teams, some of whom move in the middle of a month, CI, a daemon, a shared host; each month
//! is sealed, and some of what belongs to it comes late. Every token must be the right team's.

use std::collections::BTreeMap;
use std::fmt::Write;

use codex_tally::cache::{self, Inputs};
use codex_tally::config::read_teams;
use codex_tally::ledger::Options;
use codex_tally::model::{
    BillingPeriod, Body, Channel, Context, Day, KeyBuilder, Meta, Observation, Response, SessionRollup, SourceKind,
    ThreadId, Timestamp, TokenUsage,
};
use codex_tally::pricing::PriceBook;
use codex_tally::store::sqlite::SqliteStore;
use codex_tally::store::{Batch, Cache, Store};

use crate::support::TestEnv;
use crate::support::capture::Random;

const DEVELOPERS: usize = 200;
const TEAMS: usize = 30;

/// Everybody who moves does so on the 16th of August.
const MOVED: &str = "2026-08-16";

fn team(developer: usize, day: &str) -> String {
    let moved = developer.is_multiple_of(10) && day >= MOVED;
    format!("team-{:02}", (developer + if moved { 7 } else { 0 }) % TEAMS)
}

/// The administrator's files.
fn administer(env: &TestEnv) {
    let mut members = String::from("email,team,cost_centre,from,to\n");
    for d in 0..DEVELOPERS {
        let (before, after) = (team(d, ""), team(d, MOVED));
        let row = |team: &str, days: &str| format!("dev-{d}@acme.example,{team},CC-{team},{days}\n");
        members += &if before == after {
            row(&before, ",")
        } else {
            row(&before, ",2026-08-15") + &row(&after, "2026-08-16,")
        };
    }
    std::fs::write(env.home().join("members.csv"), members).unwrap();
    let mut rules = String::from("members = \"members.csv\"\n");
    for n in 0..10 {
        write!(
            rules,
            "\n[[rule]]\nname = \"service {n}\"\nrepository = \"acme/service-{n}\"\nteam = \"team-{n:02}\"\n"
        )
        .unwrap();
    }
    rules += "\n[[rule]]\nname = \"lab\"\nhost = \"lab-*\"\nshares = { team-00 = 2, team-01 = 1 }\n";
    std::fs::write(env.home().join("teams.toml"), rules).unwrap();
}

/// A session of two responses, and whose it is: teams with the weight that each has of it.
struct Work {
    observations: Vec<Observation>,
    owners: Vec<(String, u64)>,
    tokens: [i64; 2],
}

fn work(n: usize, day: &str, random: &mut Random) -> Work {
    let thread = ThreadId::new(&format!("01a1fbc1-b2d8-74a2-955e-{n:012x}")).unwrap();
    let start = Timestamp(Day::parse(day).unwrap().start().0 + random.below(80_000) as i64 * 1_000_000_000);
    let d = n % DEVELOPERS;
    let email = Some(format!("dev-{d}@acme.example"));
    let mut meta = Meta { source: Some("cli".into()), originator: Some("codex-tui".into()), ..Meta::default() };
    let mut context =
        Context { id: 1, service: Some("codex-tui".into()), auth_mode: Some("ApiKey".into()), ..Context::default() };
    let owners = match random.below(100) {
        // CI: nobody's login, but a repository.
        0..15 => {
            let service = random.below(10);
            meta.git_remote = Some(format!("https://git.acme.example/acme/service-{service}.git"));
            (meta.source, context.service) = (Some("exec".into()), Some("codex_exec".into()));
            vec![(format!("team-{service:02}"), 1)]
        }
        // A machine that two teams share.
        15..20 => {
            context.host = Some(format!("lab-{}", random.below(3)));
            vec![("team-00".into(), 2), ("team-01".into(), 1)]
        }
        // Nobody knows.
        20..23 => vec![("unattributed".into(), 1)],
        // An editor's process in the background, whose environment says another team.
        23..30 => {
            (meta.source, context.service) = (Some("vscode".into()), Some("codex-app-server".into()));
            context.attributes.insert("team.id".into(), "team-29".into());
            context.email = email;
            vec![(team(d, day), 1)]
        }
        _ => {
            context.email = email;
            vec![(team(d, day), 1)]
        }
    };
    let see = |name: &str, source, time, body| {
        let key = KeyBuilder::new(name).part(thread.as_str()).build();
        Observation { thread: thread.clone(), key, source, time, body }
    };
    let mut observations = vec![
        see("meta", SourceKind::Transcript, start, Body::Meta(Box::new(meta))),
        see("context", SourceKind::Otlp, start, Body::Context(Box::new(context))),
    ];
    let mut tokens = [0, 0];
    for i in 0..2 {
        let usage = TokenUsage { input: 1_000 + random.below(50_000) as u64, output: 100 + i, ..TokenUsage::default() };
        tokens[0] += usage.input as i64;
        tokens[1] += usage.output as i64;
        let seen = Response {
            usage,
            model: Some("gpt-5.5".into()),
            tier: Some("default".into()),
            ctx: Some(1),
            ..Response::default()
        };
        let time = Timestamp(start.0 + i as i64 * 60_000_000_000);
        let name = format!("otlp {i}");
        observations.push(see(
            &name,
            SourceKind::Otlp,
            Timestamp(time.0 + 2_000_000),
            Body::Response(Box::new(seen.clone())),
        ));
        let own = Response { ctx: None, turn: Some("t".into()), response_id: Some(format!("r{i}")), ..seen };
        observations.push(see(&format!("tur {i}"), SourceKind::Transcript, time, Body::Response(Box::new(own))));
    }
    Work { observations, owners, tokens }
}

struct Company {
    env: TestEnv,
    store: SqliteStore,
}

impl Company {
    fn inputs(&self) -> Inputs {
        let rules = read_teams(&self.env.home().join("teams.toml"), true).unwrap();
        let options = Options { default_channel: Some(Channel::Api), rules, ..Options::default() };
        Inputs::new(options, PriceBook::builtin().clone()).with_seals_of(&self.store).unwrap()
    }

    fn take(&mut self, observations: Vec<Observation>) {
        self.store.append(&Batch { observations, ..Batch::default() }).unwrap();
    }

    fn seal(&mut self, period: BillingPeriod) {
        let inputs = self.inputs();
        cache::refresh(&mut self.store, &inputs, &mut |_| {}).unwrap();
        cache::seal(&mut self.store, &inputs, period, false, &mut |_| {}).unwrap();
    }

    /// Tokens in and out, and list cost, of each team.
    fn books(&mut self) -> BTreeMap<String, ([i64; 2], i128)> {
        let inputs = self.inputs();
        cache::refresh(&mut self.store, &inputs, &mut |_| {}).unwrap();
        let mut books: BTreeMap<String, ([i64; 2], i128)> = BTreeMap::new();
        let all = (Timestamp(i64::MIN), Timestamp(i64::MAX));
        let given = self.store.rollups(inputs.hash(), all, &mut |bytes| {
            let session = SessionRollup::decode(bytes).unwrap();
            for row in &session.usage {
                let (tokens, list) = books.entry(session.keys[row.keys as usize].values[0].to_string()).or_default();
                tokens[0] += row.tokens.input;
                tokens[1] += row.tokens.output;
                *list += row.sums.list_usd.unwrap_or(0);
            }
            Ok(())
        });
        assert!(given.unwrap());
        books
    }
}

#[test]
fn a_year_of_a_company_is_the_right_teams() {
    let env = TestEnv::new();
    std::fs::create_dir_all(env.home()).unwrap();
    administer(&env);
    let store = SqliteStore::open(&env.home().join("tally.db")).unwrap();
    let (mut company, mut random) = (Company { env, store }, Random(11));
    let (mut truth, mut late): (BTreeMap<String, [i64; 2]>, Vec<Observation>) = Default::default();
    let mut period: BillingPeriod = "2026-05".parse().unwrap();
    let mut n = 0;
    for _ in 0..12 {
        for _ in 0..DEVELOPERS {
            let day = format!("{period}-{:02}", 1 + random.below(28));
            let work = work(n, &day, &mut random);
            n += 1;
            for (i, (team, _)) in work.owners.iter().enumerate() {
                let of = |amount: i64| {
                    let weights: Vec<u64> = work.owners.iter().map(|(_, weight)| *weight).collect();
                    i64::try_from(codex_tally::model::split(amount.into(), &weights)[i]).unwrap()
                };
                let owned = truth.entry(team.clone()).or_default();
                owned[0] += of(work.tokens[0]);
                owned[1] += of(work.tokens[1]);
            }
            // One in twenty comes after its month was sealed.
            if random.below(20) == 0 { late.extend(work.observations) } else { company.take(work.observations) }
        }
        company.seal(period);
        company.take(std::mem::take(&mut late));
        period = period.next();
    }
    // What came last is corrected in the month after the year, which stays open.
    let books = company.books();
    let total: i128 = books.values().map(|(_, list)| list).sum();
    let shared = ["team-00", "team-01"];
    for (team, (tokens, _)) in &books {
        let wanted = truth[team];
        // A shared session has two responses, each rounded alone.
        let most = if shared.contains(&team.as_str()) { 400 } else { 0 };
        assert!(
            (tokens[0] - wanted[0]).abs() <= most && (tokens[1] - wanted[1]).abs() <= most,
            "{team}: {tokens:?}, not {wanted:?}"
        );
    }
    assert_eq!(books.len(), truth.len());
    let sum = |part: usize| truth.values().map(|t| t[part]).sum::<i64>();
    let booked = |part: usize| books.values().map(|(t, _)| t[part]).sum::<i64>();
    assert_eq!([booked(0), booked(1)], [sum(0), sum(1)], "nothing is lost and nothing is there twice");
    assert!(books["unattributed"].1 * 20 <= total, "at most 5 % unattributed: {} of {total}", books["unattributed"].1);

    let inputs = company.inputs();
    let mut found = Vec::new();
    cache::verify(&company.store, &inputs, &mut |f| found.push(f.to_string()), &mut |_| {}).unwrap();
    assert_eq!(found, Vec::<String>::new());
    let seals = company.store.seals().unwrap();
    assert_eq!(seals.len(), 12);
    for seal in &seals {
        assert_eq!(cache::export(&company.store, seal, &mut |_| Ok(())).unwrap(), None);
    }
}
