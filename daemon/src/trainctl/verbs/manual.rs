//! `trainctl completion` and `trainctl man`: from the definition of the command line, so that they are never out of date.

use std::path::Path;

use clap::{Command, CommandFactory as _};
use clap_complete::Shell;

use super::super::args::Arguments;
use super::super::failure::Failure;
use super::super::output::Output;
use crate::exit_code;
use crate::settings::DaemonFlags;

/// Writes the completion script of `shell` to the standard output.
pub(in super::super) fn completion(shell: Shell, output: &Output) -> Result<u8, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "trainctl", &mut script);
    output.write(&String::from_utf8_lossy(&script))?;
    Ok(exit_code::OK)
}

/// Writes a page per verb to `man1` and that of the daemon to `man8`, below `out`.
pub(in super::super) fn man(out: &Path, output: &Output) -> Result<u8, Failure> {
    let mut trainctl = Arguments::command();
    // Gives every verb its full name.
    trainctl.build();
    let mut pages = vec![("man8", "traind.8".to_owned(), page(DaemonFlags::command(), "8")?)];
    collect(&trainctl, "trainctl", &mut pages)?;
    for (section, name, text) in pages {
        let directory = out.join(section);
        let path = directory.join(&name);
        let written = std::fs::create_dir_all(&directory).and_then(|()| std::fs::write(&path, text));
        written.map_err(|error| {
            Failure::new(exit_code::FAILED, format!("cannot write {}", path.display()))
                .because(error.to_string())
        })?;
        output.write(&format!("{}\n", path.display()))?;
    }
    Ok(exit_code::OK)
}

/// What the pages belong to.
const SOURCE: &str = concat!("traind ", env!("CARGO_PKG_VERSION"));

type Page = (&'static str, String, Vec<u8>);

fn collect(command: &Command, name: &str, pages: &mut Vec<Page>) -> Result<(), Failure> {
    pages.push(("man1", format!("{name}.1"), page(command.clone(), "1")?));
    for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
        collect(verb, &format!("{name}-{}", verb.get_name()), pages)?;
    }
    Ok(())
}

fn page(command: Command, section: &str) -> Result<Vec<u8>, Failure> {
    let mut text = Vec::new();
    let man = clap_mangen::Man::new(command).section(section).source(SOURCE);
    man.render(&mut text).map_err(|error| {
        Failure::new(exit_code::FAILED, "cannot make a manual page").because(error.to_string())
    })?;
    Ok(text)
}
