//! `skep config example`: the documented file, made from the declarations.

use super::options::{
    FlightSection, HttpSection, LogOptions, MetastoreOptions, RootOptions, SqlSection, StoreSection,
    TlsSection,
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

fn comment(text: &mut String, doc: &str) {
    for line in doc.lines() {
        text.push_str(&format!("# {line}\n"));
    }
}
