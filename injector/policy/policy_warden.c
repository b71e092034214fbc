/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The policy as the warden of faults. A run's own processes have it from before their fork; a
 * command that restores reads it when the first question comes, which is rare. One that cannot be
 * read allows nothing, here as elsewhere: a file is put back all the same, and who reads it is not
 * told, which is shown.
 */
#include "injector/policy/policy_warden.h"

#include "faults/warden.h"

#include <errno.h>

static struct {
	const struct policy *policy;
	bool is_known;
	struct error trouble; /* it could not be read */
} site = {.trouble = ERROR_INIT};

static int ask(const struct policy **out, struct error *err)
{
	struct yaml_problems problems;
	struct policy *policy = NULL;

	if (!site.is_known) {
		if (policy_load(POLICY_PATH, &policy, &problems, &site.trouble) == 0)
			site.policy = policy; /* for the rest of this process */
		yaml_problems_free(&problems);
		site.is_known = true;
	}
	*out = site.policy;
	if (!site.trouble.code)
		return 0;
	if (err)
		*err = site.trouble;
	return -EPERM;
}

static int may_touch_process(pid_t pid, struct error *err)
{
	const struct policy *policy;
	int result = ask(&policy, err);

	return result < 0 ? result : policy_check_pid(policy, pid, err);
}

static int may_touch_unit(const char *asked, const char *unit, struct error *err)
{
	const struct policy *policy;
	int result = ask(&policy, err);

	return result < 0 ? result : policy_check_unit(policy, asked, unit, err);
}

void policy_warden_begin(void)
{
	static const struct fault_warden warden = {.process = may_touch_process,
						   .unit = may_touch_unit};

	fault_warden_use(&warden);
}

void policy_warden_know(const struct policy *policy)
{
	site.policy = policy;
	site.is_known = true;
}
