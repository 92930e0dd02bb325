//! A terminal for programs that need one, held by tmux.

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(30);

/// A terminal with a program in it. Dropping it ends both.
pub struct Terminal {
    socket: PathBuf,
}

impl Terminal {
    /// Runs a command with its environment in a new terminal.
    #[track_caller]
    pub fn start(command: &Command) -> Self {
        let folder = command.get_current_dir().expect("a working folder").to_path_buf();
        let socket = folder.with_file_name("tmux");
        let mut tmux = Command::new("tmux");
        tmux.env_clear().current_dir(folder).arg("-S").arg(&socket);
        for (name, value) in command.get_envs() {
            tmux.env(name, value.unwrap_or_default());
        }
        tmux.env("TERM", "xterm-256color").env("SHELL", "/bin/sh");
        tmux.args(["-f", "/dev/null", "new-session", "-d", "-x", "120", "-y", "40", "--"]);
        tmux.arg(command.get_program()).args(command.get_args());
        // On a busy machine its server may end before the client has reached it.
        let opened = (0..5).any(|_| tmux.status().expect("tmux starts").success());
        assert!(opened, "tmux opens a terminal");
        Self { socket }
    }

    /// What it shows.
    pub fn screen(&self) -> String {
        let output = self.tmux(&["capture-pane", "-p"]).output().expect("tmux answers");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Waits until it shows something.
    #[track_caller]
    pub fn wait(&self, text: &str) {
        let deadline = Instant::now() + PATIENCE;
        while !self.screen().contains(text) {
            assert!(Instant::now() < deadline, "waited in vain for {text:?}\n{}", self.screen());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Presses a key until it has had its effect: a program that is about to begin drops what was typed before.
    #[track_caller]
    pub fn insist(&self, key: &str, effect: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !effect(&self.screen()) {
            assert!(Instant::now() < deadline, "{key} has no effect\n{}", self.screen());
            self.key(key);
            let pause = Instant::now() + Duration::from_secs(3);
            while Instant::now() < pause && !effect(&self.screen()) {
                std::thread::sleep(Duration::from_millis(50));
            }
        }
    }

    /// Types a text and, when it is shown, Enter.
    pub fn enter(&self, text: &str) {
        assert!(self.tmux(&["send-keys", "-l", text]).status().expect("tmux answers").success());
        self.wait(text);
        // What comes in one piece is taken for a paste, in which Enter is a new line.
        std::thread::sleep(Duration::from_millis(300));
        self.key("Enter");
    }

    /// Presses a key.
    pub fn key(&self, key: &str) {
        assert!(self.tmux(&["send-keys", key]).status().expect("tmux answers").success());
    }

    /// Waits until the program has ended, and tmux with it.
    #[track_caller]
    pub fn ended(&self) {
        let deadline = Instant::now() + PATIENCE;
        while self.tmux(&["has-session"]).output().is_ok_and(|output| output.status.success()) {
            assert!(Instant::now() < deadline, "it does not end\n{}", self.screen());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn tmux(&self, args: &[&str]) -> Command {
        let mut tmux = Command::new("tmux");
        tmux.arg("-S").arg(&self.socket).args(args);
        tmux
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        let _ = self.tmux(&["kill-server"]).output();
    }
}
