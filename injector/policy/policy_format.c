/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "injector/policy/policy_format.h"

#include "injector/base/clock.h"
#include "injector/base/quantity.h"

static const char *const audit_words[] = {
	[POLICY_AUDIT_OPTIONAL] = "optional", [POLICY_AUDIT_REQUIRED] = "required", NULL};

const struct param policy_root[] = {
	[POLICY_VERSION] = {.name = "version",
			    .type = PARAM_INTEGER,
			    .flags = PARAM_REQUIRED,
			    .min = 1,
			    .max = 1,
			    .doc = "version of the format: 1"},
	[POLICY_WINDOWS] = {.name = "windows",
			    .type = PARAM_TEXT,
			    .flags = PARAM_LIST,
			    .doc = "when experiments may run, like Mon-Fri 09:00-16:00 "
				   "Europe/Berlin; the whole run must fit in"},
	[POLICY_BLACKOUT] = {.name = "blackout",
			     .type = PARAM_TEXT,
			     .flags = PARAM_LIST,
			     .doc = "days without experiments: 2026-12-24 or "
				    "2026-12-24..2027-01-02 Europe/Berlin; without a zone in those "
				    "of the windows, or of this machine"},
	[POLICY_AUDIT] = {.name = "audit",
			  .type = PARAM_WORD,
			  .words = audit_words,
			  .fallback = "optional",
			  .doc = "required: no run without its line in the audit file"},
	{0},
};

static const struct param allow[] = {
	[POLICY_ALLOW_FAULTS] = {.name = "faults",
				 .type = PARAM_NAME,
				 .flags = PARAM_LIST,
				 .doc = "faults that may be injected"},
	[POLICY_ALLOW_USERS] = {.name = "users",
				.type = PARAM_TEXT,
				.flags = PARAM_LIST,
				.doc = "who may inject, by user name or %group, as known to sudo"},
	[POLICY_ALLOW_INTERFACES] = {.name = "interfaces",
				     .type = PARAM_TEXT,
				     .flags = PARAM_LIST,
				     .doc = "interfaces whose traffic may be touched; * and ? "
					    "stand for any characters"},
	[POLICY_ALLOW_NETWORKS] =
		{.name = "networks",
		 .type = PARAM_ENDPOINT,
		 .flags = PARAM_LIST,
		 .doc = "address ranges whose traffic may be touched, whether a target names it "
			"or a fault (connect to, the address of a wrong DNS answer)"},
	[POLICY_ALLOW_UNITS] = {.name = "units",
				.type = PARAM_TEXT,
				.flags = PARAM_LIST,
				.doc = "units of the system's own systemd whose processes may be "
				       "touched, or which may be reloaded; a unit of a user's "
				       "systemd belongs to user@UID.service; * and ? stand for any "
				       "characters"},
	[POLICY_ALLOW_FILES] = {.name = "files",
				.type = PARAM_TEXT,
				.flags = PARAM_LIST,
				.doc = "paths of files that may be exchanged, like /etc/nginx/*; * "
				       "and ? stand for any characters, also for a slash"},
	[POLICY_ALLOW_COMMANDS] = {.name = "commands",
				   .type = PARAM_TEXT,
				   .flags = PARAM_LIST,
				   .doc = "programs that reload-command may start, by their "
					  "paths, like /usr/sbin/nginx; * and ? stand for any "
					  "characters; none: no program"},
	{0},
};

static const struct param limits[] = {
	[POLICY_LIMITS_DURATION] = {.name = "duration",
				    .type = PARAM_DURATION,
				    .min = NSEC_PER_SEC,
				    .max = 7LL * 24 * 3600 * NSEC_PER_SEC,
				    .doc = "most that limits.duration of an experiment may be"},
	[POLICY_LIMITS_TARGETS] = {.name = "targets",
				   .type = PARAM_INTEGER,
				   .min = 1,
				   .max = 100000,
				   .doc = "most processes and endpoints that a run may touch"},
	[POLICY_LIMITS_SHARE] = {.name = "share",
				 .type = PARAM_SHARE,
				 .min = 1,
				 .max = SHARE_ONE,
				 .doc = "most of the processes that a selector matches"},
	{0},
};

static const struct param protect[] = {
	[POLICY_PROTECT_PROCESSES] = {.name = "processes",
				      .type = PARAM_TEXT,
				      .flags = PARAM_LIST,
				      .doc = "never touched: program names, or paths of "
					     "executables; * and ? stand for any characters"},
	[POLICY_PROTECT_UNITS] = {.name = "units",
				  .type = PARAM_TEXT,
				  .flags = PARAM_LIST,
				  .doc = "never touched: systemd units, those of users and "
					 "containers as well; * and ? stand for any "
					 "characters"},
	[POLICY_PROTECT_ADDRESSES] =
		{.name = "addresses",
		 .type = PARAM_ENDPOINT,
		 .flags = PARAM_LIST,
		 .doc = "never touched: addresses, ranges, with ports if only "
			"those; who means them among others (to: \"*\"), or as a "
			"local-address, is refused"},
	[POLICY_PROTECT_FILES] = {.name = "files",
				  .type = PARAM_TEXT,
				  .flags = PARAM_LIST,
				  .doc = "never touched: paths of files; * and ? stand for any "
					 "characters, also for a slash"},
	{0},
};

const struct policy_section_format policy_sections[POLICY_SECTION_COUNT] = {
	[POLICY_ALLOW] = {"allow", "{faults: [network], interfaces: [eth*]}",
			  "what may be touched, by whom; a key that is not there allows all",
			  allow},
	[POLICY_LIMITS] = {"limits", "{duration: 30m, targets: 10}",
			   "what no experiment may exceed", limits},
	[POLICY_PROTECT] = {"protect", "{processes: [postgres], addresses: [10.0.0.53]}",
			    "what is never touched, whatever is allowed", protect},
};
