use super::*;

/// What every CALL answers: a row per object.
pub static CALL_RESULT: TableSpec = table(
    "ops",
    "call",
    "What a CALL answers: one row per object, at least one.",
    &[
        text("call_id", "Id of the call, as in runtime.audit_log; of a replay, that of the first call."),
        text("procedure_name", "Procedure."),
        text(
            "status",
            "'applied', 'unchanged' (all was so already), 'queued' (it goes on by itself), 'planned' (a dry \
             run) or 'replayed' (the idempotency key was used before: the answer is the first one).",
        ),
        text("object_type", "What it is about: 'setting', 'metastore', ...").null(),
        text("object_name", "Its name.").null(),
        int("version_before", "Version before; NULL when no call had changed it.").null(),
        int("version_after", "Version now: what expected_version compares.").null(),
        text("message", "The same in words.").null(),
    ],
);

/// What EXPLAIN CALL shows.
pub static CALL_EXPLAINED: TableSpec = table(
    "ops",
    "explain",
    "What EXPLAIN CALL shows: nothing happens.",
    &[
        text("part", "'procedure', 'argument', 'check', 'object', 'before', 'after' or 'status'."),
        text("name", "Which one."),
        boolean("is_ok", "Of a check: whether it holds.").null(),
        text("detail", "More of it; of a check that does not hold, why.").null(),
    ],
);
