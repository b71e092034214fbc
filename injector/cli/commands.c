/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The table of commands: what --help lists, what is run, what manual and completion are made from.
 */
#include "injector/cli/commands.h"

#include <stddef.h>

const struct command cli_commands[] = {
	{"run", cli_run, "FILE [-- COMMAND...]", "run an experiment and restore everything"},
	{"inject", cli_inject, "FAULT key=value...", "one fault, without a file"},
	{"plan", cli_plan, "FILE", "what would happen, changing nothing"},
	{"check", cli_check, "FILE...", "validate files; needs no privileges"},
	{"new", cli_new, "[-o FILE]", "write an experiment by answering a few questions"},
	{"explain", cli_explain, "FILE", "an experiment in plain English"},
	{"status", cli_status, "", "live runs and what they have in force"},
	{"stop", cli_stop, "[RUN]", "stop a run and restore"},
	{"halt", cli_halt, "[--reason TEXT]", "stop all runs and refuse new ones"},
	{"resume", cli_resume, "", "allow runs again after halt"},
	{"restore", cli_restore, "[RUN]", "finish what dead runs left"},
	{"report", cli_report, "[RUN|FILE]", "a run again: text, HTML, Markdown, JUnit, JSON"},
	{"replay", cli_replay, "RUN|FILE", "run again what a result was made from"},
	{"diff", cli_diff, "RUN|FILE RUN|FILE", "compare two results"},
	{"doctor", cli_doctor, "", "what this machine can do, and remedies"},
	{"policy", cli_policy, "[FILE]", "check the site policy and say what it rules"},
	{"schedule", cli_schedule, "FILE --on CALENDAR", "systemd timers: write, list, remove"},
	{"schema", cli_schema, "", "JSON Schema of the experiment file, for editors"},
	{"faults", cli_faults, "[NAME]", "the faults and their parameters"},
	{NULL, NULL, NULL, NULL},
};
