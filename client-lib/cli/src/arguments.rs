//! What can be typed after `sotto`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use sotto_client::{OrganisationId, RelayAddress};

/// Sealed conversations for peer support, from a terminal.
#[derive(Debug, Parser)]
#[command(name = "sotto", version, about)]
pub(crate) struct Cli {
    /// Write one JSON object a line to stdout, the last one a summary.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Let people talk through a relay that is killed, then search its disk for what they said.
    Demo(crate::demo::DemoArgs),
    /// Run a relay; the same as `sotto-relay run`.
    Relay(sotto_server::cli::RunArgs),
    /// Begin a conversation, or enter one.
    Room {
        /// What to do.
        #[command(subcommand)]
        command: RoomCommand,
    },
    /// Let others add you to rooms while you are away, and say yes or no.
    Inbox(InboxArgs),
    /// A support desk.
    Desk {
        /// What to do.
        #[command(subcommand)]
        command: DeskCommand,
    },
    /// Come back on another device, with eight words.
    Words {
        /// What to do.
        #[command(subcommand)]
        command: WordsCommand,
    },
    /// Vouch for supporters, without a name, one conversation at a time.
    Badge {
        /// What to do.
        #[command(subcommand)]
        command: BadgeCommand,
    },
    /// Talk in a conversation of this device.
    Chat(ChatArgs),
    /// Speak the conversations of a file through a relay that runs elsewhere.
    Replay(ReplayArgs),
    /// Erase everything that this device keeps, at once and without a question.
    Exit(ExitArgs),
    /// Say what this device keeps.
    Residue(ResidueArgs),
    /// Measure, under load and kills.
    Bench {
        /// What to measure.
        #[command(subcommand)]
        command: BenchCommand,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum BenchCommand {
    /// Let many wait in one queue and some claim all of them at once, while the relay is killed.
    ClaimRace(ClaimRaceArgs),
    /// Let a school's pupils all come within a minute of a short break, on a clock that is driven.
    Bell(BellArgs),
    /// Let people wait for an evening on bad lines, and compare what they are told with what is so.
    QueueTruth(QueueTruthArgs),
}

/// Where the relay of a bench keeps what it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Engine {
    /// On the disk, in a process that is killed with SIGKILL.
    Sled,
    /// In the memory of this process, which ends the relay without notice.
    Memory,
}

impl Engine {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Sled => "sled",
            Self::Memory => "memory",
        }
    }
}

#[derive(Args, Debug)]
pub(crate) struct ClaimRaceArgs {
    /// What the relay keeps things in.
    #[arg(long, value_enum, value_name = "ENGINE", default_value = "sled")]
    pub(crate) engine: Engine,
    /// How many wait; a tenth of them leave.
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(u16).range(1..=5_000))]
    pub(crate) seekers: u16,
    /// How many claim; up to 5 of them are dishonest.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=500))]
    pub(crate) supporters: u16,
    /// How often the relay is killed while claims are unanswered.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(0..=100))]
    pub(crate) restarts: u16,
    /// Decides when the relay is killed and who leaves when.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
}

#[derive(Args, Debug)]
pub(crate) struct BellArgs {
    /// How many come.
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u16).range(1..=2_000))]
    pub(crate) pupils: u16,
    /// How many listen.
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub(crate) listeners: u16,
    /// Chats that each of them has at a time.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=10))]
    pub(crate) chats: u8,
    /// How long the break is.
    #[arg(long, value_name = "MINUTES", default_value_t = 20, value_parser = clap::value_parser!(u16).range(2..=59))]
    pub(crate) minutes: u16,
    /// How many may wait at a time.
    #[arg(long, value_name = "N", default_value_t = 150, value_parser = clap::value_parser!(u16).range(1..=5_000))]
    pub(crate) capacity: u16,
    /// Without post-quantum keys.
    #[arg(long)]
    pub(crate) classic: bool,
    /// Decides who comes when, who leaves, and how long chats are.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
}

#[derive(Args, Debug)]
pub(crate) struct QueueTruthArgs {
    /// How many come.
    #[arg(long, value_name = "N", default_value_t = 300, value_parser = clap::value_parser!(u16).range(1..=5_000))]
    pub(crate) seekers: u16,
    /// How many are on duty.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=100))]
    pub(crate) supporters: u16,
    /// Chats that each of them has at a time.
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=10))]
    pub(crate) chats: u8,
    /// Of a hundred lines so many break each minute.
    #[arg(long, value_name = "PER_CENT", default_value_t = 10, value_parser = clap::value_parser!(u8).range(0..=100))]
    pub(crate) cuts: u8,
    /// Without post-quantum keys.
    #[arg(long)]
    pub(crate) classic: bool,
    /// Decides who comes when, who leaves, whose line breaks, and how long chats are.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(crate) seed: u64,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RoomCommand {
    /// Found a conversation and print the link that leads into it.
    New(NewArgs),
    /// Enter a conversation by its link.
    Join(JoinArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum DeskCommand {
    /// Found a desk and its team's room, and print the address that people ask at.
    New(DeskNewArgs),
    /// Ask for somebody to talk to, and wait.
    Ask(AskArgs),
    /// Leave a letter, which is answered when somebody is there.
    Letter(AskArgs),
    /// Come on duty: see who waits, and answer.
    Duty(DutyArgs),
    /// Say how it was, in two answers that nobody can tell whose they are.
    Rate(crate::desk::arguments::RateArgs),
    /// Say at the office how many were there, and never of fewer than five.
    Stats(crate::desk::arguments::StatsArgs),
    /// Show at the office what it did and counted, or check a copy of that.
    Audit(crate::desk::arguments::AuditArgs),
    /// Show what a desk says of itself, how it stands now, and its address for a link or a poster.
    Card(CardArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum BadgeCommand {
    /// A supporter: make keys on this device, and a file that asks for badges for them.
    Request(BadgeRequestArgs),
    /// An organisation: sign a badge for each key of such a file.
    Issue(BadgeIssueArgs),
    /// A supporter: take in what was issued.
    Import(BadgeImportArgs),
    /// A supporter: show a badge in a conversation.
    Show(BadgeShowArgs),
    /// Anybody: believe an organisation in a conversation, and see the badges there.
    Check(BadgeCheckArgs),
    /// An organisation: write the list of badges that it took back; at least once a day.
    Revoke(BadgeRevokeArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum WordsCommand {
    /// Keep a backup on a relay, and print the eight words that bring it back.
    New(WordsArgs),
    /// Come back with words, which are read from stdin.
    Use(WordsUseArgs),
    /// Show the words of this device's backup once more.
    Show(DeviceArgs),
    /// Show eight more, for who is made to give theirs away; they open an innocent place.
    Decoy(DecoyArgs),
    /// End the backup of this device: its words open nothing any more.
    End(DeviceArgs),
}

/// How the conversations of a file are spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum As {
    /// Each conversation between two people of its own.
    Chats,
    /// All conversations in one room, among its members.
    Room,
}

#[derive(Args, Clone, Debug)]
pub(crate) struct Casting {
    /// Speak all conversations of the file at once, not only the first.
    #[arg(long)]
    pub(crate) all: bool,
    /// Between whom.
    #[arg(long = "as", value_enum, value_name = "KIND", default_value = "chats")]
    pub(crate) kind: As,
    /// With `--as room`: how many members share it.
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u16).range(2..=100))]
    pub(crate) members: u16,
}

#[derive(Args, Debug)]
pub(crate) struct ReplayArgs {
    /// A CSV file with the columns conversation, turn, role, text.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// The relay's address, as the relay prints it: ws://… or wss://…, # and the identity.
    #[arg(long, value_name = "URL")]
    pub(crate) relay: RelayAddress,
    /// How the file is spoken.
    #[command(flatten)]
    pub(crate) casting: Casting,
    /// At most so many messages a second in all; without it as fast as answers come.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) rate: Option<u32>,
    /// Trust only the authorities in this PEM file for wss://.
    #[arg(long, value_name = "PEM")]
    pub(crate) authority: Option<PathBuf>,
}

/// Where this device keeps what it knows.
#[derive(Args, Clone, Debug)]
pub(crate) struct DeviceArgs {
    /// Where this device keeps its conversations; two people on one machine need two folders.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) folder: Option<PathBuf>,
    /// Open the folder with a passphrase instead of a key kept in it. It is asked at a terminal;
    /// elsewhere it is the first line of stdin.
    #[arg(long)]
    pub(crate) passphrase: bool,
    /// Trust only the authorities in this PEM file for wss://.
    #[arg(long, value_name = "PEM")]
    pub(crate) authority: Option<PathBuf>,
    /// How long to wait for the relay before giving up, in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=86_400))]
    pub(crate) patience: u32,
}

impl DeviceArgs {
    /// What to type next for this device, such as `sotto chat --folder ana`.
    pub(crate) fn command(&self, verb: &str) -> String {
        let mut line = format!("sotto {verb}");
        let paths = [("--folder", &self.folder), ("--authority", &self.authority)];
        for (option, path) in paths {
            if let Some(path) = path {
                line.push_str(&format!(" {option} {}", quoted(&path.to_string_lossy())));
            }
        }
        if self.passphrase {
            line.push_str(" --passphrase");
        }
        line
    }

    pub(crate) fn patience(&self) -> Duration {
        Duration::from_secs(self.patience.into())
    }
}

/// As one word for a shell.
fn quoted(text: &str) -> String {
    let is_plain = |one: char| one.is_alphanumeric() || "/._-".contains(one);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[derive(Args, Debug)]
pub(crate) struct WordsArgs {
    /// The relay that keeps the backup, as it prints its address.
    #[arg(long, value_name = "URL")]
    pub(crate) relay: RelayAddress,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}

#[derive(Args, Debug)]
pub(crate) struct DecoyArgs {
    /// Let them lead to this conversation, by its number; may be given several times.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) show: Vec<usize>,
    /// Let them lead to this conversation no more.
    #[arg(long, value_name = "NUMBER")]
    pub(crate) hide: Vec<usize>,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}

#[derive(Args, Debug)]
pub(crate) struct WordsUseArgs {
    /// The relay that keeps the backup, as it prints its address.
    #[arg(long, value_name = "URL")]
    pub(crate) relay: RelayAddress,
    /// Take the safe word from the second line of stdin; at a terminal it is asked for in any case.
    #[arg(long)]
    pub(crate) safe_word: bool,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}

#[derive(Args, Debug)]
pub(crate) struct NewArgs {
    /// The relay's address, as the relay prints it.
    #[arg(long, value_name = "URL")]
    pub(crate) relay: RelayAddress,
    /// What you are called in this conversation, and nowhere else.
    #[arg(long)]
    pub(crate) name: String,
    /// The link leads to a door: whoever comes asks, and you say yes or no in `sotto chat`.
    #[arg(long)]
    pub(crate) approval: bool,
    /// Without post-quantum secrecy: for rooms of more than 100, and thin lines.
    #[arg(long)]
    pub(crate) classic: bool,
    /// Every device forgets a message after so many hours.
    #[arg(long, value_name = "HOURS", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub(crate) forget_after: Option<u32>,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}

#[derive(Args, Debug)]
pub(crate) struct JoinArgs {
    /// The link; without it, it is read from stdin and so from no list of processes.
    pub(crate) link: Option<String>,
    /// What you are called in this conversation, and nowhere else.
    #[arg(long)]
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}

#[derive(Args, Debug)]
pub(crate) struct ChatArgs {
    /// Which conversation, by its number, if there are several.
    pub(crate) number: Option<usize>,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}

#[derive(Args, Debug)]
pub(crate) struct InboxArgs {
    /// Open an inbox on this relay, if this device has none; rooms on it can use it.
    #[arg(long, value_name = "URL")]
    pub(crate) relay: Option<RelayAddress>,
    /// With a new inbox: for rooms without post-quantum secrecy, and no others.
    #[arg(long, requires = "relay")]
    pub(crate) classic: bool,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}

#[derive(Args, Debug)]
pub(crate) struct DeskNewArgs {
    /// What the desk is called.
    pub(crate) desk: String,
    /// The relay's address, as the relay prints it.
    #[arg(long, value_name = "URL")]
    pub(crate) relay: RelayAddress,
    /// What you are called in the team.
    #[arg(long)]
    pub(crate) name: String,
    /// The file with the organisation's key; a new one is made if there is none.
    #[arg(long, value_name = "FILE")]
    pub(crate) organisation: PathBuf,
    /// Which of the organisation's desks it is.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) number: u8,
    /// What one can ask about; may be given several times, as the next ones.
    #[arg(long)]
    pub(crate) topic: Vec<String>,
    /// In which languages.
    #[arg(long)]
    pub(crate) language: Vec<String>,
    /// What supporters here have been through themselves.
    #[arg(long)]
    pub(crate) been_there: Vec<String>,
    /// Help in a crisis: a name and how it is reached.
    #[arg(long, value_name = "NAME=HOW")]
    pub(crate) resource: Vec<String>,
    /// Where confidentiality ends, in words that are shown before the first message.
    #[arg(
        long,
        value_name = "WORDS",
        default_value = "What you write is read by those who answer you, and by nobody else."
    )]
    pub(crate) confidentiality: String,
    /// The time zone of the opening hours.
    #[arg(long, value_name = "ZONE", default_value = "UTC")]
    pub(crate) zone: String,
    /// When it is open, such as "mon 18:00-22:00"; without any, always.
    #[arg(long, value_name = "SLOT")]
    pub(crate) hours: Vec<String>,
    /// How many may wait.
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) capacity: u32,
    /// Chats that one supporter has at a time; 0 is without a limit.
    #[arg(long, value_name = "N", default_value_t = 2)]
    pub(crate) chats_each: u8,
    /// How long a chat may be, said at its start; 0 is without a limit.
    #[arg(long, value_name = "MINUTES", default_value_t = 0)]
    pub(crate) minutes: u32,
    /// Without post-quantum secrecy: for thin lines.
    #[arg(long)]
    pub(crate) classic: bool,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}

#[derive(Args, Debug)]
pub(crate) struct AskArgs {
    /// The desk's address: sotto-desk:1:…
    pub(crate) address: String,
    /// The first words; they may be left out of a question, not of a letter.
    pub(crate) words: Option<String>,
    /// What you are called in the chat.
    #[arg(long, default_value = "Guest")]
    pub(crate) name: String,
    /// What it is about.
    #[arg(long)]
    pub(crate) topic: Option<String>,
    /// In which language.
    #[arg(long)]
    pub(crate) language: Option<String>,
    /// What the supporter should have been through; may be given several times.
    #[arg(long)]
    pub(crate) been_there: Vec<String>,
    /// Where the supporter should not be from; may be given several times.
    #[arg(long)]
    pub(crate) not: Vec<String>,
    /// Ask also if this device waits at the desk already, and take a second place.
    #[arg(long)]
    pub(crate) again: bool,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}

#[derive(Args, Debug)]
pub(crate) struct DutyArgs {
    /// What you are called in the chats.
    #[arg(long)]
    pub(crate) name: String,
    /// What you know about, as the card names it; may be given several times.
    #[arg(long = "topic", value_name = "TOPIC")]
    pub(crate) topics: Vec<String>,
    /// A language that you speak, as a tag such as pt-BR; may be given several times.
    #[arg(long = "language", value_name = "TAG")]
    pub(crate) languages: Vec<String>,
    /// What you have been through yourself; may be given several times.
    #[arg(long = "been-there", value_name = "WHAT")]
    pub(crate) been_there: Vec<String>,
    /// Where you are from: who wants nobody from there is not shown to you; may be given several times.
    #[arg(long = "site", value_name = "SITE")]
    pub(crate) sites: Vec<String>,
    /// Show no badge of the desk's organisation to those whom you answer.
    #[arg(long)]
    pub(crate) no_badge: bool,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}

#[derive(Args, Debug)]
pub(crate) struct CardArgs {
    /// The desk's address: sotto-desk:1:…
    #[arg(long, value_name = "ADDRESS", conflicts_with_all = ["words", "host"])]
    pub(crate) address: Option<String>,
    /// The eight words of a poster.
    #[arg(long, value_name = "WORDS", requires = "host")]
    pub(crate) words: Option<String>,
    /// With --words: the relay's host, which stands on the poster as well.
    #[arg(long, value_name = "HOST", requires = "words")]
    pub(crate) host: Option<String>,
    /// Write the address as a picture of a QR code.
    #[arg(long, value_name = "FILE")]
    pub(crate) png: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}

#[derive(Args, Debug)]
pub(crate) struct BadgeRequestArgs {
    /// The file to write, for the organisation.
    #[arg(value_name = "FILE")]
    pub(crate) file: PathBuf,
    /// For how many conversations.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u8).range(1..=64))]
    pub(crate) count: u8,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}

#[derive(Args, Debug)]
pub(crate) struct BadgeIssueArgs {
    /// The file of the supporter who asks.
    #[arg(value_name = "REQUESTS")]
    pub(crate) requests: PathBuf,
    /// The file to write, for the supporter.
    #[arg(value_name = "BADGES")]
    pub(crate) badges: PathBuf,
    /// The file of the organisation's secret key.
    #[arg(long, value_name = "KEY")]
    pub(crate) organisation: PathBuf,
    /// Make that key, in a file that is not there yet.
    #[arg(long)]
    pub(crate) new_organisation: bool,
    /// A file with what badges may say, a line each: role …, training …, language …, been-there …
    #[arg(long, value_name = "LIST")]
    pub(crate) list: PathBuf,
    /// What the supporter does.
    #[arg(long)]
    pub(crate) role: String,
    /// What the supporter was trained for; may be given several times.
    #[arg(long)]
    pub(crate) training: Vec<String>,
    /// A language that the supporter speaks; may be given several times.
    #[arg(long)]
    pub(crate) language: Vec<String>,
    /// What the supporter has been through; may be given several times.
    #[arg(long)]
    pub(crate) been_there: Vec<String>,
}

#[derive(Args, Debug)]
pub(crate) struct BadgeImportArgs {
    /// The organisation's file.
    #[arg(value_name = "BADGES")]
    pub(crate) badges: PathBuf,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}

#[derive(Args, Debug)]
pub(crate) struct BadgeShowArgs {
    /// In which conversation, by its number, if there are several.
    pub(crate) number: Option<usize>,
    /// Of which organisation: sotto-organisation:1:…
    #[arg(long, value_name = "ORGANISATION")]
    pub(crate) organisation: OrganisationId,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}

#[derive(Args, Debug)]
pub(crate) struct BadgeCheckArgs {
    /// In which conversation, by its number, if there are several.
    pub(crate) number: Option<usize>,
    /// Of which organisation: sotto-organisation:1:…
    #[arg(long, value_name = "ORGANISATION")]
    pub(crate) organisation: OrganisationId,
    /// The organisation's newest list of badges that it took back.
    #[arg(long, value_name = "FILE")]
    pub(crate) revoked: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) device: DeviceArgs,
}

#[derive(Args, Debug)]
pub(crate) struct BadgeRevokeArgs {
    /// The list: the last one, which is replaced, or a file that is not there yet.
    #[arg(value_name = "FILE")]
    pub(crate) list: PathBuf,
    /// Files of badges to take back, as they were issued.
    #[arg(value_name = "BADGES")]
    pub(crate) badges: Vec<PathBuf>,
    /// The file of the organisation's secret key.
    #[arg(long, value_name = "KEY")]
    pub(crate) organisation: PathBuf,
}

#[derive(Args, Debug)]
pub(crate) struct ExitArgs {
    /// Where this device keeps its conversations.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) folder: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct ResidueArgs {
    /// Exit with 1 if anything is kept, or a file lies there that an empty device does not have.
    #[arg(long)]
    pub(crate) expect_empty: bool,
    /// Where this device keeps its conversations.
    #[arg(long, value_name = "FOLDER")]
    pub(crate) folder: Option<PathBuf>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_to_type_next_names_the_same_device() {
        let parsed = |line: &[&str]| match Cli::try_parse_from(line).unwrap().command {
            Command::Chat(chat) => chat.device.command("chat"),
            _ => panic!("a chat"),
        };
        assert_eq!(parsed(&["sotto", "chat"]), "sotto chat");
        let ana = ["sotto", "chat", "--folder", "./ana", "--passphrase"];
        assert_eq!(parsed(&ana), "sotto chat --folder ./ana --passphrase");
        let odd = ["sotto", "chat", "--folder", "Ana's things"];
        assert_eq!(parsed(&odd), r"sotto chat --folder 'Ana'\''s things'");
    }

    #[test]
    fn the_demo_understands_what_the_readme_says() {
        for line in [
            "sotto demo",
            "sotto demo --file x.csv --all --kills 5 --json",
            "sotto demo --file x.csv --all --as room --members 12 --seed 7",
            "sotto relay --dev --json",
            "sotto residue --expect-empty",
            "sotto exit --folder ana",
            "sotto desk card --address sotto-desk:1:AA --png x.png",
            "sotto desk card --words zoo --host relay.example --json",
            "sotto bench claim-race --seekers 1000 --supporters 50 --restarts 5 --json",
            "sotto inbox --relay ws://127.0.0.1:1/#AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_ok(), "{line}");
        }
        assert!(Cli::try_parse_from(["sotto", "demo", "--members", "1"]).is_err());
        assert!(Cli::try_parse_from(["sotto", "desk", "card", "--words", "zoo"]).is_err());
        assert!(Cli::try_parse_from(["sotto", "replay", "x.csv", "--relay", "ws://x"]).is_err());
    }
}
