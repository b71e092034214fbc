/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The policy file as parameter tables: reading, messages, schema and manual come from them. What is
 * read, for policy.c and policy_rules.c.
 */
#ifndef SQUALL_POLICY_FORMAT_H
#define SQUALL_POLICY_FORMAT_H

#include "injector/base/calendar.h"
#include "injector/base/params.h"

enum policy_root_param { POLICY_VERSION, POLICY_WINDOWS, POLICY_BLACKOUT, POLICY_AUDIT };
enum policy_audit_word { POLICY_AUDIT_OPTIONAL, POLICY_AUDIT_REQUIRED };
enum policy_allow_param {
	POLICY_ALLOW_FAULTS,
	POLICY_ALLOW_USERS,
	POLICY_ALLOW_INTERFACES,
	POLICY_ALLOW_NETWORKS,
	POLICY_ALLOW_UNITS,
	POLICY_ALLOW_FILES,
	POLICY_ALLOW_COMMANDS,
};
enum policy_limits_param { POLICY_LIMITS_DURATION, POLICY_LIMITS_TARGETS, POLICY_LIMITS_SHARE };
enum policy_protect_param {
	POLICY_PROTECT_PROCESSES,
	POLICY_PROTECT_UNITS,
	POLICY_PROTECT_ADDRESSES,
	POLICY_PROTECT_FILES,
};

enum policy_section { POLICY_ALLOW, POLICY_LIMITS, POLICY_PROTECT, POLICY_SECTION_COUNT };

extern const struct param policy_root[];
struct policy_section_format {
	const char *name, *like, *doc;
	const struct param *table;
};
extern const struct policy_section_format policy_sections[POLICY_SECTION_COUNT];

struct policy {
	char path[256];
	struct params root, sections[POLICY_SECTION_COUNT];
	struct calendar_window *windows; /* owned; as many as values of POLICY_WINDOWS */
	struct calendar_dates *blackout; /* owned */
};

#endif
