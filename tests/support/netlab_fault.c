/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/support/netlab.h"

#include "tests/support/children.h"

#include "faults/network.h"
#include "faults/network_support.h"
#include "faults/target_follow.h"
#include "injector/base/clock.h"
#include "injector/base/quantity.h"
#include "injector/kernel/connection.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static void add_line(void *context, enum plan_kind kind, const char *text)
{
	struct netlab_fault *fault = context;
	size_t used = strlen(fault->plan);

	snprintf(fault->plan + used, sizeof(fault->plan) - used, "%d %s\n", kind, text);
}

static void set(struct netlab_fault *fault, const char *name, const char *value)
{
	int index = params_find(fault->target.params.table, name);
	struct params *params = index >= 0 ? &fault->target.params : &fault->params;
	struct error err = ERROR_INIT;

	if (index < 0)
		index = params_find(fault->params.table, name);
	assert_true(index >= 0);
	if (params_add(params, (unsigned)index, value, 1, 1, &err) < 0)
		fail_msg("%s: %s", name, err.text);
}

static void add_host(struct netlab_fault *fault, const char *text)
{
	char name[64];
	size_t length = strcspn(text, " ");
	bool is_changed;
	struct error err = ERROR_INIT;

	snprintf(name, sizeof(name), "%.*s", (int)length, text);
	if (target_add_host(&fault->target, TRAFFIC_TO, name, &err) < 0 ||
	    target_tell_addresses(&fault->target, fault->target.host_count - 1, text + length,
				  &err) < 0 ||
	    target_end_addresses(&fault->target, fault->target.host_count - 1, &is_changed, &err) <
		    0)
		fail_msg("%s", err.text);
}

static int plan_step(struct netlab *lab, struct netlab_fault *out, unsigned step,
		     const char *const *settings, struct error *err)
{
	struct plan plan = {.line = add_line, .context = out};
	const struct fault_ops *ops = &network_fault;
	const struct param_value *blamed;
	int result;

	if (settings[0] && strcmp(settings[0], "fault") == 0) {
		ops = fault_find(settings[1]);
		assert_non_null(ops);
		settings += 2;
	}
	out->target.kind = ops->target_kind;
	out->target.namespace_fd = -1;
	out->target.may_lack_interfaces = ops->needs_no_interface;
	assert_int_equal(params_init(&out->target.params, target_params(ops->target_kind), err), 0);
	assert_int_equal(params_init(&out->params, ops->params, err), 0);
	if (lab && ops->target_kind == TARGET_TRAFFIC)
		set(out, "namespace", lab->near);
	set(out, "target", "test");
	for (; settings[0]; settings += 2)
		if (strcmp(settings[0], "host") == 0)
			add_host(out, settings[1]);
		else
			set(out, settings[0], settings[1]);
	out->env = (struct fault_env){.run_id = out->run_id,
				      .journal = out->journal,
				      .targets_more = UINT_MAX,
				      .seed = lab ? lab->seed : 0};
	out->fault = (struct fault){.ops = ops,
				    .level_ppb = SHARE_ONE,
				    .step = step,
				    .number = step,
				    .params = &out->params,
				    .target = &out->target,
				    .env = &out->env};
	result = ops->check ? ops->check(&out->params, err) : 0;
	if (result == 0)
		result = target_resolve(&out->target, 10000, NULL, err);
	if (result == 0)
		result = fault_check_target(ops, &out->params, &out->target.params, &blamed, err);
	if (result == 0)
		result = ops->plan(&out->fault, &plan, err);
	return result;
}

int netlab_fault_plan(struct netlab *lab, struct netlab_fault *out, const char *run_id,
		      const char *const *settings, struct error *err)
{
	struct journal_header header = {.deadline_ns = clock_now_ns() + 60 * NSEC_PER_SEC};
	int result;

	memset(out, 0, sizeof(*out));
	snprintf(out->run_id, sizeof(out->run_id), "%s", run_id);
	memcpy(header.run_id, out->run_id, sizeof(header.run_id));
	result = journal_create(&header, &out->journal, err);
	return result < 0 ? result : plan_step(lab, out, 0, settings, err);
}

int netlab_fault_plan_step(struct netlab *lab, struct netlab_fault *out,
			   const struct netlab_fault *first, unsigned step,
			   const char *const *settings, struct error *err)
{
	memset(out, 0, sizeof(*out));
	memcpy(out->run_id, first->run_id, sizeof(out->run_id));
	out->journal = first->journal;
	return plan_step(lab, out, step, settings, err);
}

void netlab_fault_must_plan(struct netlab *lab, struct netlab_fault *out, const char *run_id,
			    const char *const *settings)
{
	struct error err = ERROR_INIT;

	if (netlab_fault_plan(lab, out, run_id, settings, &err) < 0)
		fail_msg("%s (%s)", err.text, err.remedy);
}

void netlab_fault_inject(struct netlab_fault *fault)
{
	struct error err = ERROR_INIT;

	if (fault->fault.ops->inject(&fault->fault, &err) < 0)
		fail_msg("%s (%s)", err.text, err.remedy);
}

void netlab_fault_start(struct netlab *lab, struct netlab_fault *out, const char *run_id,
			const char *const *settings)
{
	netlab_fault_must_plan(lab, out, run_id, settings);
	netlab_fault_inject(out);
}

void netlab_fault_start_step(struct netlab *lab, struct netlab_fault *out,
			     const struct netlab_fault *first, unsigned step,
			     const char *const *settings)
{
	struct error err = ERROR_INIT;

	if (netlab_fault_plan_step(lab, out, first, step, settings, &err) < 0)
		fail_msg("%s (%s)", err.text, err.remedy);
	netlab_fault_inject(out);
}

struct apart {
	struct netlab *lab;
	const char *run_id;
	const char *const *settings;
};

/* No failure of cmocka's, which would go on with the next test. */
static bool inject_apart(void *context)
{
	static struct netlab_fault fault; /* as long as the process */
	const struct apart *apart = context;
	struct error err = ERROR_INIT;

	if (netlab_fault_plan(apart->lab, &fault, apart->run_id, apart->settings, &err) == 0 &&
	    fault.fault.ops->inject(&fault.fault, &err) == 0)
		return true;
	fprintf(stderr, "worker: %s\n", err.text);
	return false;
}

pid_t netlab_fault_start_apart(struct netlab *lab, const char *run_id, const char *const *settings)
{
	return child_start_ready(inject_apart, &(struct apart){lab, run_id, settings});
}

void netlab_fault_end(struct netlab_fault *fault, enum fault_end how)
{
	struct error err = ERROR_INIT;
	int64_t again_ns = 0;

	do {
		if (fault->fault.ops->end(&fault->fault, how, &again_ns, &err) < 0)
			fail_msg("end: %s", err.text);
		if (again_ns)
			poll(NULL, 0, (int)(again_ns / NSEC_PER_MSEC));
	} while (again_ns);
}

void netlab_undo_all(const char *run_id)
{
	netlab_undo_step(run_id, -1);
}

void netlab_undo_step(const char *run_id, int step)
{
	const struct fault_ops *ops;
	struct journal *journal;
	struct journal_record *records;
	struct error err = ERROR_INIT;
	unsigned count;

	if (journal_open(run_id, &journal, &err) < 0 ||
	    journal_read(journal, &records, &count, &err) < 0)
		fail_msg("%s", err.text);
	for (unsigned i = count; i-- > 0;) {
		char left[512] = "";
		bool is_gone;

		if (!journal_is_open(records, count, i) ||
		    (step >= 0 && records[i].step != (uint32_t)step))
			continue;
		ops = fault_find(records[i].owner);
		assert_non_null(ops);
		if (ops->undo(&records[i], &err) < 0)
			fail_msg("undo: %s", err.text);
		if (ops->verify(&records[i], &is_gone, left, sizeof(left), &err) < 0)
			fail_msg("verify: %s", err.text);
		if (!is_gone)
			fail_msg("left: %s", left);
		if (strstr(left, "nft delete")) /* with a walk through /proc for its namespace */
			fail_msg("nothing is left, and yet: %s", left);
	}
	free(records);
	journal_close(journal);
}

struct evidence netlab_evidence(struct netlab_fault *fault)
{
	struct evidence seen = {0};
	struct error err = ERROR_INIT;

	if (fault->fault.ops->evidence(&fault->fault, &seen, &err) < 0)
		fail_msg("evidence: %s", err.text);
	return seen;
}

void netlab_fault_finish(struct netlab_fault *fault, enum fault_end how)
{
	struct error err = ERROR_INIT;

	if (fault->fault.state)
		netlab_fault_end(fault, how);
	if (fault->journal)
		netlab_undo_all(fault->run_id);
	if (fault->fault.state)
		fault->fault.ops->release(&fault->fault);
	target_free(&fault->target);
	params_free(&fault->params);
	if (!fault->journal)
		return;
	journal_close(fault->journal);
	journal_remove(fault->run_id, &err);
}

bool netlab_has_netem(void)
{
	struct network_support support;
	struct error err = ERROR_INIT;

	if (network_survey(&support, &err) < 0)
		fail_msg("%s", err.text);
	return support.has_netem;
}

bool netlab_has_egress_hook(const struct netlab *lab)
{
	bool has_hook;

	netlab_run("ip netns exec %s nft add table netdev sqtry", lab->near);
	has_hook = netlab_try("ip netns exec %s nft add chain netdev sqtry out "
			      "{type filter hook egress device lo priority 0;}",
			      lab->near) == 0;
	netlab_run("ip netns exec %s nft delete table netdev sqtry", lab->near);
	return has_hook;
}

bool netlab_by_filters(const struct netlab *lab)
{
	return getenv("SQUALL_HOOK") || !netlab_has_egress_hook(lab);
}

bool netlab_can_end_connections(const struct netlab *lab)
{
	struct netlink *diag = NULL;
	bool is_able = netlink_open_diag(lab->near_fd, &diag, NULL) == 0 &&
		       connection_try_destroy(diag, NULL) == 0;

	netlink_close(diag);
	return is_able;
}
