//! What a name says of its value.

/// What a name says of its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Name {
    /// Nothing.
    Plain,
    /// It is a secret.
    Secret,
    /// It is a secret to the end of the line, or of the quotes around both: a header of several words.
    Line,
    /// It counts something, unless it is no number: `max_tokens`.
    Count,
}

/// What a name contains, in small letters, whose value is a secret.
const WITHIN: [&str; 20] = [
    "passw",
    "passphrase",
    "passcode",
    "pwd",
    "secret",
    "token",
    "credential",
    "apikey",
    "api-key",
    "kennwort",
    "wachtwoord",
    "contrasena",
    "motdepasse",
    "mnemonic",
    "cookie",
    "authorization",
    "authkey",
    "signature",
    "bearer",
    "from-literal",
];

/// What is a secret as a word of a name: `X-Auth-Key`, `dbPass`.
const WORDS: [&str; 17] = [
    "pass", "pw", "psw", "pword", "auth", "cred", "creds", "jwt", "otp", "totp", "pat", "sig", "senha", "parola",
    "pin", "cvv", "passe",
];

/// What tells that tokens are counted.
const COUNTS: [&str; 7] =
    ["token_count", "token_usage", "token_limit", "token_budget", "token_cost", "token-count", "token-limit"];

/// What ends in `pass` and is none.
const NO_PASS: [&str; 5] = ["bypass", "compass", "trespass", "surpass", "encompass"];

/// What a name says of its value. It may be as long as it likes: nobody calls a secret by a name of more than a hundred letters.
/// `key` alone is one only where `=` comes at once: JSON is full of others.
pub(super) fn meaning(name: &str, by_equals: bool) -> Name {
    let name = name.trim_matches(['-', '.', '_']);
    if by_equals && name.eq_ignore_ascii_case("key") {
        return Name::Secret;
    }
    if name.len() < 2 || name.len() > 100 {
        return Name::Plain;
    }
    let small = name.to_ascii_lowercase();
    let last = small.rsplit('.').next().unwrap_or(&small);
    if ["authorization", "cookie", "passphrase", "mnemonic"].iter().any(|end| last.ends_with(end)) {
        return Name::Line;
    }
    let within = WITHIN.iter().any(|part| small.contains(part));
    let of_a_key = small.ends_with("key") || small.ends_with("keys");
    let passes = small.ends_with("pass") && !NO_PASS.iter().any(|word| small.ends_with(word));
    let by_word = || words(name).any(|word| WORDS.contains(&word.as_str()) || word == "key" && small != "key");
    if !(within || passes || of_a_key && small != "key" && small != "keys" || by_word()) {
        return Name::Plain;
    }
    let counted = small.contains("tokens") || COUNTS.iter().any(|count| small.contains(count));
    match counted && !WITHIN.iter().any(|part| *part != "token" && small.contains(part)) {
        true => Name::Count,
        false => Name::Secret,
    }
}

/// The words of a name, in small letters: `dbPassWord_2` has `db`, `pass`, `word` and `2`.
fn words(name: &str) -> impl Iterator<Item = String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for c in name.chars() {
        let begins =
            c.is_ascii_uppercase() && before.is_ascii_lowercase() || c.is_ascii_digit() != before.is_ascii_digit();
        if !c.is_ascii_alphanumeric() || begins {
            words.push(String::new());
        }
        if let (true, Some(word)) = (c.is_ascii_alphanumeric(), words.last_mut()) {
            word.push(c.to_ascii_lowercase());
        }
        before = c;
    }
    words.into_iter().filter(|word| !word.is_empty())
}

/// Programs, by how their names begin, with the flags that take a secret, and whether it may stand right behind the flag.
const COMMANDS: [(&str, &[&str], bool); 24] = [
    ("mysql", &["-p"], true),
    ("mariadb", &["-p"], true),
    ("mycli", &["-p"], true),
    ("sshpass", &["-p"], true),
    ("7z", &["-p"], true),
    ("rar", &["-p"], true),
    ("unrar", &["-p"], true),
    ("login", &["-p", "-P"], true),
    ("mongo", &["-p"], true),
    ("cqlsh", &["-p"], true),
    ("rabbitmqadmin", &["-p"], true),
    ("zip", &["-P"], true),
    ("unzip", &["-P"], true),
    ("sqlcmd", &["-P"], true),
    ("bcp", &["-P"], true),
    ("mosquitto", &["-P"], true),
    ("redis-cli", &["-a"], true),
    ("ldap", &["-w"], true),
    ("curl", CURL, true),
    ("useradd", &["-p"], true),
    ("usermod", &["-p"], true),
    ("ssh-keygen", &["-N", "-P"], true),
    ("ipmitool", &["-P"], true),
    ("openssl", &["-k", "-K", "-pass", "-passin", "-passout"], false),
];

/// Those of curl, which alone writes flags together before the user: `-su ann:x`.
const CURL: &[&str] = &["-b"];

/// Programs whose flag is too common to go by how a name begins: HTTPie.
const EXACT: [&str; 4] = ["http", "https", "xh", "xhs"];

/// The flags of a program that take a secret, if something like it is called.
pub(super) fn flags(word: &str, after: &str) -> Option<(&'static [&'static str], bool)> {
    let program = word.rsplit('/').next().unwrap_or(word);
    // An address begins like its program.
    if EXACT.contains(&program) && after.starts_with([' ', '\t', '"', '\'', '\\']) {
        return Some((&["-a"], true));
    }
    let found = COMMANDS.iter().find(|(name, ..)| program.starts_with(name));
    found.map(|(_, flags, attached)| (*flags, *attached))
}

/// Flags that take a user, and behind a colon a password, whatever the program.
const USERS: [&str; 2] = ["--user", "--proxy-user"];

/// The flag that takes a user at the beginning of a word: `-u`, `--user`, of curl also `-su`; or `-u` before the user.
pub(super) fn user_flag<'w>(word: &'w str, after: &str, of_program: Option<&[&str]>) -> Option<&'w str> {
    let long = |flag: &&&str| word.strip_prefix(**flag).is_some_and(|rest| rest.is_empty() || rest.starts_with('='));
    if let Some(flag) = USERS.iter().find(long) {
        return Some(&word[..flag.len()]);
    }
    let letters = word.strip_prefix('-').filter(|letters| !letters.starts_with('-'))?;
    let together = of_program == Some(CURL) && letters.len() <= 8 && letters.chars().all(|c| c.is_ascii_alphabetic());
    if ["u", "U"].contains(&letters) || together && letters.ends_with(['u', 'U']) {
        return Some(word);
    }
    (letters.starts_with('u') && after.starts_with(':')).then_some("-u")
}

/// Words that give a name its value without a sign between: `ENV DB_PASSWORD x`.
pub(super) const SETS: [&str; 10] = ["ENV", "ARG", "set", "setx", "setenv", "-x", "-gx", "-Ux", "SET", "config"];
