//! The prompt: lines with history and completion until a statement is whole.

use std::path::PathBuf;
use std::sync::Arc;

use rustyline::error::ReadlineError;
use rustyline::history::FileHistory;
use rustyline::{CompletionType, Config, EditMode, Editor};

use super::complete::Completion;
use super::{Next, Shell, meta, split};
use crate::console;
use crate::exit::{Exit, report};

/// Statements that are kept.
const HISTORY_MAX: usize = 1_000;

impl Shell {
    /// Asks until the end of input or `\q`. Faults are shown and do not end it.
    pub(super) fn prompt(&mut self, runtime: &tokio::runtime::Runtime) -> Exit {
        let mut editor = match self.editor() {
            Ok(editor) => editor,
            Err(error) => {
                console::note(format_args!("skep: the terminal cannot be used: {error}\n"));
                return Exit::Failed;
            }
        };
        let history = history_file();
        if let Some(file) = &history {
            // A history that is not there yet, or is damaged, is no reason not to begin.
            let _ = editor.load_history(file);
        }
        let exit = loop {
            match editor.readline("skep> ") {
                Ok(text) => {
                    if split::is_blank(&text) {
                        continue;
                    }
                    let _ = editor.add_history_entry(text.trim());
                    if self.run_entered(runtime, &text) == Next::Quit {
                        break Exit::Done;
                    }
                }
                Err(ReadlineError::Interrupted) => {}
                Err(ReadlineError::Eof) => break Exit::Done,
                Err(error) => {
                    console::note(format_args!("skep: the terminal cannot be read: {error}\n"));
                    break Exit::Failed;
                }
            }
        };
        if let Some(file) = &history
            && let Err(error) = save_history(&mut editor, file)
        {
            tracing::debug!(%error, file = %file.display(), "history not saved");
        }
        exit
    }

    fn run_entered(&mut self, runtime: &tokio::runtime::Runtime, text: &str) -> Next {
        let text = meta::of_word(text).unwrap_or(text);
        for statement in split::split(text).statements {
            match runtime.block_on(self.run_one(statement)) {
                Ok(Next::GoOn) => {}
                Ok(Next::Quit) => return Next::Quit,
                Err(fault) => {
                    report(&fault);
                    break;
                }
            }
        }
        Next::GoOn
    }

    fn editor(&self) -> rustyline::Result<Editor<Completion, FileHistory>> {
        let config = Config::builder()
            .max_history_size(HISTORY_MAX)?
            .history_ignore_dups(true)?
            .completion_type(CompletionType::List)
            .edit_mode(EditMode::Emacs)
            .build();
        let mut editor = Editor::with_config(config)?;
        editor.set_helper(Some(Completion::new(Arc::clone(&self.asked))));
        Ok(editor)
    }
}

/// `$XDG_STATE_HOME/skep/history`, or below `~/.local/state`; none without a home.
fn history_file() -> Option<PathBuf> {
    let of = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let folder = of("XDG_STATE_HOME").or_else(|| of("HOME").map(|home| home.join(".local/state")))?;
    Some(folder.join("skep").join("history"))
}

fn save_history(editor: &mut Editor<Completion, FileHistory>, file: &PathBuf) -> rustyline::Result<()> {
    if let Some(folder) = file.parent() {
        std::fs::create_dir_all(folder)?;
    }
    editor.save_history(file)
}
