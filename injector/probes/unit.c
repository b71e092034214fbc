/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Probe `unit`: is a systemd unit in the state it should be in, and was it restarted? By
 * systemctl(1), whose `show` is made for programs.
 */
#include "injector/probes/tool.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { EXPECT_STATE, EXPECT_RESTARTS };

/* org.freedesktop.systemd1(5), ActiveState */
static const char *const states[] = {"active",	   "reloading",	   "inactive",	  "failed",
				     "activating", "deactivating", "maintenance", NULL};

static const struct param unit_params[] = {{0}};
static const struct param unit_expect[] = {
	[EXPECT_STATE] = {"state", PARAM_WORD, PARAM_LIST, .words = states,
			  .doc = "the states that are well; default: active"},
	[EXPECT_RESTARTS] = {"restarts", PARAM_COMPARE_NUMBER,
			     .doc = "restarts by systemd itself, since the first attempt"},
	{0},
};

struct unit {
	struct tool tool;
	double restarts_at_first; /* NAN: not asked yet */
};

static int unit_check(const struct probe_spec *spec, struct error *err)
{
	const char *name = spec->subject[0];

	/* a dash would make it an option of systemctl, a glob would match several */
	if (name[0] == '-' || strpbrk(name, "*?[ /") || strlen(name) > 255)
		return error_set(err, EINVAL,
				 "'%.60s' is not the name of one unit, like nginx.service", name);
	return 0;
}

/* "NAME=value" of a line of its own; "" when it is not there. */
static void take_property(const char *output, const char *name, char *out, size_t size)
{
	size_t length = strlen(name);

	out[0] = '\0';
	for (const char *line = output; line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, name, length) != 0 || line[length] != '=')
			continue;
		line += length + 1;
		probe_excerpt(line, strcspn(line, "\n"), out, size);
		return;
	}
}

static bool is_expected(const struct params *expect, const char *state)
{
	unsigned count = params_count(expect, EXPECT_STATE);

	for (unsigned i = 0; i < count; i++)
		if (strcmp(params_value(expect, EXPECT_STATE, i)->text, state) == 0)
			return true;
	return count == 0 && strcmp(state, "active") == 0;
}

static void judge(struct tool *tool, const char *output)
{
	struct unit *unit = (struct unit *)tool; /* its first member */
	struct probe *probe = tool->probe;
	const struct params *expect = &probe->spec->expect;
	char load[32], state[32], sub[32], restarts[32];
	struct compare limit;
	double count;

	take_property(output, "LoadState", load, sizeof(load));
	take_property(output, "ActiveState", state, sizeof(state));
	take_property(output, "SubState", sub, sizeof(sub));
	take_property(output, "NRestarts", restarts, sizeof(restarts));
	count = *restarts ? strtod(restarts, NULL) : 0; /* only services have it */
	if (isnan(unit->restarts_at_first))
		unit->restarts_at_first = count;
	/* reset-failed and a start by hand set it back */
	if (count < unit->restarts_at_first)
		unit->restarts_at_first = 0;
	count -= unit->restarts_at_first;
	if (!*state || strcmp(load, "loaded") != 0)
		probe_finish(probe, PROBE_UNKNOWN, NAN, "the unit is %s",
			     *load ? load : "not known to systemctl");
	else if (!is_expected(expect, state))
		probe_finish(probe, PROBE_FAIL, count, "it is %s (%s)", state, sub);
	else if (probe_compare(expect, EXPECT_RESTARTS, &limit) && !compare_holds(&limit, count))
		probe_finish(probe, PROBE_FAIL, count, "restarted %g times, expected %s", count,
			     params_text(expect, EXPECT_RESTARTS));
	else
		probe_finish(probe, PROBE_PASS, count, "%s (%s)", state, sub);
}

static int unit_open(struct probe *probe, struct error *err)
{
	struct unit *unit = probe->state = calloc(1, sizeof(*unit));
	char property[] = "--property=LoadState,ActiveState,SubState,NRestarts";
	char *argv[] = {(char[]){"systemctl"}, (char[]){"show"},	property,
			(char[]){"--"},	       probe->spec->subject[0], NULL};

	if (!unit)
		return error_errno(err, ENOMEM, "cannot prepare the probe");
	unit->tool.judge = judge;
	unit->restarts_at_first = NAN;
	return tool_open(&unit->tool, probe, argv, err);
}

static void unit_close(struct probe *probe)
{
	free(probe->state);
	probe->state = NULL;
}

const struct probe_ops unit_probe = {
	.name = "unit",
	.summary = "a systemd unit is in the expected state, and was not restarted too often",
	.subject_doc = "name of the unit, as nginx.service",
	.params = unit_params,
	.expect = unit_expect,
	.check = unit_check,
	.open = unit_open,
	.start = tool_start,
	.cancel = tool_cancel,
	.close = unit_close,
};
