//! `skep config example`: the documented file, made from the declarations.

use super::options::{
    FlightSection, FlightTlsSection, HttpSection, LogOptions, MetastoreOptions, RootOptions, SqlSection,
    StoreSection, TlsSection, UserSection,
};
use super::section::{OptionSpec, Section};
use super::value::Rule;

/// The documented file: every option with its default, those without one and those that the
/// machine decides commented out. Reading it gives exactly the defaults.
pub fn example() -> String {
    let mut text = String::from(
        "# Config of skep, with every option and its default.\n\
         # Only [[metastore]] must be given; everything else may be left out.\n\n",
    );
    section::<RootOptions>(&mut text, "");
    section::<LogOptions>(&mut text, "[log]\n");
    section::<StoreSection>(&mut text, "[store]\n");
    section::<SqlSection>(&mut text, "[sql]\n");
    section::<FlightSection>(&mut text, "[flight]\n");
    commented::<FlightTlsSection>(&mut text, "[flight.tls]\n");
    commented::<UserSection>(&mut text, "[[flight.user]]\n");
    section::<HttpSection>(&mut text, "[http]\n");
    section::<MetastoreOptions>(&mut text, "[[metastore]]\n");
    section::<TlsSection>(&mut text, "# [metastore.tls]\n");
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

fn section<S: Section>(text: &mut String, heading: &str) {
    comment(text, &S::doc());
    text.push_str(heading);
    if heading.is_empty() {
        text.push('\n');
    }
    for option in S::options() {
        let OptionSpec { key, doc, rule, default, .. } = option;
        comment(text, &doc);
        let bounds = rule.to_string();
        if !bounds.is_empty() {
            comment(text, &format!("({bounds})"));
        }
        match (&rule, default) {
            (Rule::Required(shown), _) => text.push_str(&format!("{key} = {shown}\n")),
            (Rule::Optional(shown), _) => text.push_str(&format!("# {key} = {shown}\n")),
            (Rule::OfMachine(_), Some(default)) => text.push_str(&format!("# {key} = {default}\n")),
            (_, Some(default)) => text.push_str(&format!("{key} = {default}\n")),
            (_, None) => {}
        }
    }
    text.push('\n');
}

/// A section that may be left out, and whose values only the reader knows.
fn commented<S: Section>(text: &mut String, heading: &str) {
    let mut plain = String::new();
    section::<S>(&mut plain, heading);
    for line in plain.trim_end().lines() {
        if !line.starts_with('#') {
            text.push_str("# ");
        }
        text.push_str(line);
        text.push('\n');
    }
    text.push('\n');
}

fn comment(text: &mut String, doc: &str) {
    for line in doc.lines() {
        text.push_str(&format!("# {line}\n"));
    }
}
