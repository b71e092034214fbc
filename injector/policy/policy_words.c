/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a policy says, in words.
 */
#include "injector/policy/policy.h"

#include "injector/policy/policy_format.h"

#include <stdio.h>

void policy_describe(const struct policy *policy, char *out, size_t size)
{
	size_t used = (size_t)snprintf(out, size, "the site policy %s allows it", policy->path);
	const char *mark = ": ";

	for (unsigned at = 0; at < POLICY_SECTION_COUNT && used < size; at++) {
		const struct params *params = &policy->sections[at];

		for (unsigned i = 0; i < params->count && used < size; i++) {
			if (!params_count(params, i))
				continue;
			used += (size_t)snprintf(out + used, size - used, "%s%s.%s", mark,
						 policy_sections[at].name, params->table[i].name);
			mark = ", ";
		}
	}
}

static void print_rules(const struct policy *policy, const char *name, const struct params *params,
			FILE *out)
{
	for (unsigned i = 0; i < params->count; i++) {
		unsigned count = params_count(params, i);

		if (!count)
			continue;
		fprintf(out, "  %s:%-4d %s%s%s:", policy->path, params_value(params, i, 0)->line,
			name, *name ? "." : "", params->table[i].name);
		for (unsigned at = 0; at < count; at++)
			fprintf(out, "%s %s", at ? "," : "", params_value(params, i, at)->text);
		fputc('\n', out);
	}
}

void policy_print(const struct policy *policy, FILE *out)
{
	fprintf(out, "The policy is valid. It rules:\n");
	print_rules(policy, "", &policy->root, out);
	for (unsigned at = 0; at < POLICY_SECTION_COUNT; at++)
		print_rules(policy, policy_sections[at].name, &policy->sections[at], out);
}

bool policy_needs_audit(const struct policy *policy)
{
	return policy && params_number(&policy->root, POLICY_AUDIT, POLICY_AUDIT_OPTIONAL) ==
				 POLICY_AUDIT_REQUIRED;
}
