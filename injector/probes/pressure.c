/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Probe `pressure`: how much of the time work waited for the processor, memory or storage, of the
 * whole machine or of one cgroup. The file is opened anew for each attempt: a cgroup may come and
 * go.
 */
#include "injector/probes/pressure.h"
#include "injector/probes/probe.h"

#include "injector/base/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

enum { PARAM_CGROUP };

static const struct param pressure_params[] = {
	[PARAM_CGROUP] =
		{"cgroup", PARAM_TEXT,
		 .doc = "of this cgroup (v2), as system.slice/orders.service; default: the "
			"whole machine"},
	{0},
};

#define FIGURE(key, what)                                                                          \
	{                                                                                          \
		key, PARAM_COMPARE_NUMBER, .doc = what                                             \
	}
static const struct param pressure_expect[] = {
	[SOME_AVG10] = FIGURE("some-avg10", "% of the last 10 s in which something waited"),
	[SOME_AVG60] = FIGURE("some-avg60", "% of the last minute in which something waited"),
	[SOME_AVG300] = FIGURE("some-avg300", "% of the last 5 minutes in which something waited"),
	[FULL_AVG10] = FIGURE("full-avg10", "% of the last 10 s in which everything waited"),
	[FULL_AVG60] = FIGURE("full-avg60", "% of the last minute in which everything waited"),
	[FULL_AVG300] = FIGURE("full-avg300", "% of the last 5 minutes in which everything waited"),
	{0},
};

static const char *const resources[] = {"cpu", "memory", "io", NULL};

static bool is_plain_path(const char *path)
{
	const char *at = path;

	if (!*path)
		return false;
	while (*at) {
		size_t length = strcspn(at, "/");

		if ((length == 2 && at[0] == '.' && at[1] == '.') || (length == 1 && at[0] == '.'))
			return false;
		at += length + (at[length] == '/');
	}
	return true;
}

static int pressure_check(const struct probe_spec *spec, struct error *err)
{
	const char *cgroup = params_text(&spec->params, PARAM_CGROUP);
	bool is_judged = false;
	unsigned i = 0;

	while (resources[i] && strcmp(resources[i], spec->subject[0]) != 0)
		i++;
	if (!resources[i])
		return error_set(err, EINVAL, "'%s' is not known; it must be cpu, memory or io",
				 spec->subject[0]);
	if (cgroup && !is_plain_path(cgroup))
		return error_set(err, EINVAL,
				 "cgroup: '%s' must be a path below the cgroup mount, without . "
				 "and ..",
				 cgroup);
	for (i = 0; i < PRESSURE_FIGURES; i++)
		is_judged |= params_is_set(&spec->expect, i);
	if (!is_judged)
		return error_set(err, EINVAL,
				 "nothing is expected; write expect: {some-avg10: \"< 60\"}");
	return 0;
}

const char *pressure_cgroup_mount(void)
{
	if (access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0)
		return "/sys/fs/cgroup";
	if (access("/sys/fs/cgroup/unified/cgroup.controllers", F_OK) == 0)
		return "/sys/fs/cgroup/unified";
	return NULL;
}

int pressure_parse(const char *text, double out[PRESSURE_FIGURES], struct error *err)
{
	double figures[PRESSURE_FIGURES];
	char kind[8];
	int taken;

	for (unsigned i = 0; i < PRESSURE_FIGURES; i++)
		figures[i] = NAN;
	while (*text) {
		double *at = figures;

		if (sscanf(text, "%7s%n", kind, &taken) != 1)
			break;
		if (strcmp(kind, "full") == 0)
			at = figures + FULL_AVG10;
		else if (strcmp(kind, "some") != 0)
			return error_set(err, EINVAL, "not pressure figures: '%.40s'", text);
		if (sscanf(text + taken, " avg10=%lf avg60=%lf avg300=%lf", &at[0], &at[1],
			   &at[2]) != 3)
			return error_set(err, EINVAL, "not pressure figures: '%.40s'", text);
		text += strcspn(text, "\n");
		text += *text == '\n';
	}
	if (isnan(figures[SOME_AVG10]))
		return error_set(err, EINVAL, "there are no pressure figures in it");
	memcpy(out, figures, sizeof(figures));
	return 0;
}

static int open_file(const struct probe_spec *spec, char *path, size_t size)
{
	const char *cgroup = params_text(&spec->params, PARAM_CGROUP), *mount;

	if (!cgroup) {
		snprintf(path, size, "/proc/pressure/%s", spec->subject[0]);
	} else {
		mount = pressure_cgroup_mount();
		snprintf(path, size, "%s/%s/%s.pressure", mount ? mount : "/sys/fs/cgroup",
			 cgroup + strspn(cgroup, "/"), spec->subject[0]);
	}
	return open(path, O_RDONLY | O_CLOEXEC);
}

/* The reason why there are no figures, with the remedy. */
static const char *explain(const struct probe_spec *spec, int code)
{
	bool is_cgroup = params_is_set(&spec->params, PARAM_CGROUP);

	/* No /proc/pressure without CONFIG_PSI, or with psi=0 or CONFIG_PSI_DEFAULT_DISABLED;
	 * kernel/sched/psi.c answers EOPNOTSUPP to a reader when it is off. */
	if (code == EOPNOTSUPP || (code == ENOENT && access("/proc/pressure", F_OK) < 0))
		return "the kernel does not measure pressure (boot with psi=1)";
	if (code == ENOENT && is_cgroup)
		return "there is no such cgroup (v2), or its cgroup.pressure is 0";
	return strerror(code);
}

static void judge(struct probe *probe, const double *figures)
{
	const struct params *expect = &probe->spec->expect;
	double shown = NAN;
	const char *name = "";

	for (unsigned i = 0; i < PRESSURE_FIGURES; i++) {
		if (!params_is_set(expect, i))
			continue;
		if (isnan(figures[i])) {
			probe_finish(probe, PROBE_UNKNOWN, NAN, "this kernel has no %s of %s",
				     pressure_expect[i].name, probe->spec->subject[0]);
			return;
		}
		if (!compare_holds(&params_value(expect, i, 0)->compare, figures[i])) {
			probe_finish(probe, PROBE_FAIL, figures[i], "%s %.2f%%, expected %s",
				     pressure_expect[i].name, figures[i], params_text(expect, i));
			return;
		}
		if (isnan(shown)) {
			shown = figures[i];
			name = pressure_expect[i].name;
		}
	}
	probe_finish(probe, PROBE_PASS, shown, "%s %.2f%%", name, shown);
}

static int pressure_start(struct probe *probe, struct error *err)
{
	double figures[PRESSURE_FIGURES];
	struct error cause = ERROR_INIT;
	char path[PARAM_TEXT_MAX + 64], text[512];
	cleanup_fd int fd = open_file(probe->spec, path, sizeof(path));
	ssize_t length = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);

	(void)err;
	if (length < 0) {
		probe_finish(probe, PROBE_UNKNOWN, NAN, "%s: %s", path,
			     explain(probe->spec, errno));
		return 0;
	}
	text[length] = '\0';
	if (pressure_parse(text, figures, &cause) < 0)
		probe_finish(probe, PROBE_UNKNOWN, NAN, "%s: %.100s", path, cause.text);
	else
		judge(probe, figures);
	return 0;
}

static int pressure_open(struct probe *probe, struct error *err)
{
	(void)probe;
	(void)err;
	return 0;
}

/* An attempt ends within start(): there is never one to cancel, nor anything to free. */
static void pressure_nothing(struct probe *probe)
{
	(void)probe;
}

const struct probe_ops pressure_probe = {
	.name = "pressure",
	.summary = "work does not wait too long for the processor, memory or storage",
	.subject_doc = "cpu, memory or io",
	.params = pressure_params,
	.expect = pressure_expect,
	.check = pressure_check,
	.open = pressure_open,
	.start = pressure_start,
	.cancel = pressure_nothing,
	.close = pressure_nothing,
};
