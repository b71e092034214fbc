/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The connect fault: connect(2) fails at once, for processes that run already, with the error that
 * the experiment names. Nothing is sent, and connections that exist are not touched. The programs
 * live as long as the descriptors of their links, so they vanish with the worker; the record is
 * only for looking.
 */
#include "faults/connect.h"

#include "faults/process_group.h"
#include "faults/process_match.h"
#include "faults/target_group.h"
#include "injector/base/prose.h"
#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "injector/base/quantity.h"
#include "injector/kernel/bpf.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define ENDPOINTS_MAX 50 /* of each kind: jumps of one program */
#define PROCESSES_MAX 65536

static const char *const error_words[] = {"ETIMEDOUT",	 "ECONNREFUSED", "EHOSTUNREACH",
					  "ENETUNREACH", "EPERM",	 NULL};
static const char *const protocol_words[] = {"tcp", "udp", "any", NULL};

static const struct param connect_params[] = {
	[CONNECT_TARGET] = {.name = "target",
			    .type = PARAM_TARGET,
			    .flags = PARAM_REQUIRED,
			    .doc = "the processes that cannot connect"},
	[CONNECT_TO] = {.name = "to",
			.type = PARAM_ENDPOINT,
			.flags = PARAM_LIST,
			.doc = "where to; default: anywhere"},
	[CONNECT_EXCEPT] = {.name = "except",
			    .type = PARAM_ENDPOINT,
			    .flags = PARAM_LIST | PARAM_SPARED,
			    .doc = "of these, what can be reached all the same"},
	[CONNECT_PROTOCOL] = {.name = "protocol",
			      .type = PARAM_WORD,
			      .words = protocol_words,
			      .fallback = "tcp",
			      .doc = "udp: connect() of datagram sockets, as resolvers do it"},
	[CONNECT_ERROR] = {.name = "error",
			   .type = PARAM_WORD,
			   .words = error_words,
			   .flags = PARAM_REQUIRED,
			   .doc = "what connect() returns, at once; before Linux 5.18 only EPERM"},
	[CONNECT_PROBABILITY] = {.name = "probability",
				 .type = PARAM_SHARE,
				 .flags = PARAM_RAMPED,
				 .min = 1,
				 .max = SHARE_ONE,
				 .fallback = "100%",
				 .doc = "with which an attempt fails"},
	{.name = NULL},
};

static int check_endpoints(const struct params *params, unsigned key, struct error *err)
{
	if (params_count(params, key) > ENDPOINTS_MAX)
		return error_set(err, E2BIG, "%s: more than %d endpoints", params->table[key].name,
				 ENDPOINTS_MAX);
	for (unsigned i = 0; i < params_count(params, key); i++) {
		const struct param_value *value = params_value(params, key, i);

		if (value->endpoint.is_name)
			return error_set(err, EINVAL, "%s: '%s' is a name; give its addresses",
					 params->table[key].name, value->text);
	}
	return 0;
}

static int check(const struct params *params, struct error *err)
{
	int result = check_endpoints(params, CONNECT_TO, err);

	return result < 0 ? result : check_endpoints(params, CONNECT_EXCEPT, err);
}

static int probe(struct fault_support *out, struct error *err)
{
	struct connect_state state = {.record = {"squall_probe"},
				      .process_map = -1,
				      .counter_map = -1,
				      .links = {-1, -1},
				      .programs = {-1, -1},
				      .watch = -1,
				      .is_whole_group = true};
	int programs[2] = {-1, -1};
	cleanup_fd int root = -1;
	struct error why = ERROR_INIT;
	struct params params;
	const struct fault fault = {.params = &params, .level_ppb = SHARE_ONE};
	int result = params_init(&params, connect_params, err);

	if (result < 0)
		return result;
	*out = (struct fault_support){.usable = false};
	params_add(&params, CONNECT_ERROR, error_words[0], 0, 0, NULL);
	bpf_unlimit_memory();
	result = cgroup_open_root(&root, &why);
	if (result == 0)
		result = connect_load(&state, &fault, programs, &why);
	connect_close(&state);
	connect_close_pair(programs);
	params_free(&params);
	out->usable = result == 0;
	snprintf(out->way, sizeof(out->way), "%s",
		 result == 0 ? "BPF at the connect hooks of cgroup v2" : "");
	snprintf(out->reason, sizeof(out->reason), "%.*s", (int)sizeof(out->reason) - 1, why.text);
	snprintf(out->remedy, sizeof(out->remedy), "%.*s", (int)sizeof(out->remedy) - 1,
		 why.remedy);
	return 0;
}

/* Planning. */

/* `out_why`: why not the whole group, which is what the target names. */
static int choose_group(struct connect_state *state, const struct fault *fault,
			struct error *out_why, struct error *err)
{
	const struct params *selector = &fault->target->params;

	state->is_whole_group = process_match_one_group(selector, &state->group, NULL) == 0 &&
				state->group.is_unified &&
				process_group_check(&state->group, fault, out_why) >= 0;
	if (!state->is_whole_group && target_follows_groups(selector)) {
		*err = *out_why;
		return error_prefix(err, "follow");
	}
	if (state->is_whole_group) {
		if (target_follows_groups(selector))
			state->group_id = fault->target->groups[0].id;
		state->group_fd = open(state->group.directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (state->group_fd < 0)
			return error_errno(err, errno, "%s", state->group.directory);
		return 0;
	}
	snprintf(state->group.directory, sizeof(state->group.directory), "the root of cgroup v2");
	if (fault->target->process_count > PROCESSES_MAX)
		return error_set(err, E2BIG, "more than %d processes", PROCESSES_MAX);
	return cgroup_open_root(&state->group_fd, err);
}

static int list(const struct connect_state *state, const struct fault *fault, struct plan *plan)
{
	const struct target *target = fault->target;
	char share[QUANTITY_TEXT_SIZE], text[ENDPOINT_TEXT_SIZE];
	unsigned count = params_count(fault->params, CONNECT_TO);
	int result = 0;

	for (unsigned i = 0; result == 0 && i < target->process_count && i < 20; i++)
		result = plan_add(plan, PLAN_TARGET, "process %d %s: %s",
				  target->processes[i].id.pid, target->processes[i].name,
				  target->processes[i].command);
	if (result == 0 && target->process_count > 20)
		result = plan_add(plan, PLAN_TARGET, "and %u more processes",
				  target->process_count - 20);
	for (unsigned i = 0; result == 0 && i < count; i++)
		result = plan_add(
			plan, PLAN_TARGET, "connections to %s",
			endpoint_format(&params_value(fault->params, CONNECT_TO, i)->endpoint,
					text));
	if (result == 0)
		result = plan_add(plan, PLAN_WAY, "BPF at the connect hooks of %s%s",
				  state->group.directory,
				  state->is_whole_group ? "" : ", for these processes alone");
	if (result == 0)
		result = plan_add(
			plan, PLAN_CHANGE,
			"attach programs %s for IPv4 and IPv6 (vanish with their "
			"process): %s of the "
			"attempts fail with %s",
			state->record.program,
			quantity_format_share(params_number(fault->params, CONNECT_PROBABILITY, 0),
					      share),
			params_text(fault->params, CONNECT_ERROR));
	if (result == 0 && target_follows_groups(&target->params))
		result = plan_add(plan, PLAN_TARGET,
				  "followed: control group %s; when it was made again, it is "
				  "affected again",
				  cgroup_path(&state->group));
	if (result == 0)
		result = plan_add(
			plan, PLAN_NOTE, "connections that exist go on; %s",
			state->is_whole_group
				? "processes that start in the group meanwhile are met, too"
				: "children that are started meanwhile are not met");
	return result;
}

static void release(struct fault *fault)
{
	struct connect_state *state = fault->state;

	if (!state)
		return;
	connect_close(state);
	cleanup_fd_at(&state->group_fd);
	free(state);
	fault->state = NULL;
}

/* Loads the programs once, so that what the kernel cannot do is said now. */
static int rehearse(struct connect_state *state, const struct fault *fault, struct error *err)
{
	int programs[2] = {-1, -1};
	int result;

	bpf_unlimit_memory();
	result = connect_load(state, fault, programs, err);
	connect_close_pair(programs);
	connect_close(state);
	return result;
}

static int plan(struct fault *fault, struct plan *plan, struct error *err)
{
	struct connect_state *state = calloc(1, sizeof(*state));
	struct error not_whole = ERROR_INIT;
	int result = check(fault->params, err);

	if (!state)
		return error_errno(err, ENOMEM, "connect");
	fault->state = state;
	state->group_fd = state->process_map = state->counter_map = state->watch = -1;
	state->links[0] = state->links[1] = state->programs[0] = state->programs[1] = -1;
	snprintf(state->record.program, sizeof(state->record.program), "sq_%.6s_%u",
		 fault->env && fault->env->run_id ? fault->env->run_id : "RUN", fault->step);
	if (result == 0)
		result = choose_group(state, fault, &not_whole, err);
	if (result == 0)
		result = rehearse(state, fault, err);
	if (result == 0)
		result = list(state, fault, plan);
	if (result == 0 && not_whole.code)
		result = plan_add(plan, PLAN_NOTE, "not the whole group: %s", not_whole.text);
	if (result < 0)
		release(fault);
	return result;
}

/* In force. */

static int attach(struct connect_state *state, const struct fault *fault, struct error *err)
{
	int programs[2] = {-1, -1};
	int result = connect_load(state, fault, programs, err);

	if (result == 0 && !state->is_whole_group)
		result = connect_watch(state, fault->target, err);
	if (result == 0)
		result = connect_link(state, fault, programs, err);
	for (unsigned i = 0; i < 2; i++)
		if (result == 0 && target_follows_groups(&fault->target->params))
			state->programs[i] = steal_fd(&programs[i]);
		else
			cleanup_fd_at(&programs[i]); /* the link holds it */
	return result;
}

/* What the site and the rails say of who is in it by now. */
static int check_group(const struct connect_state *state, const struct fault *fault,
		       struct error *err)
{
	return state->is_whole_group && !connect_is_waiting(fault)
		       ? process_group_check(&state->group, fault, err)
		       : 0;
}

static int inject(struct fault *fault, struct error *err)
{
	struct connect_state *state = fault->state;
	int result = check_group(state, fault, err);

	if (result >= 0)
		result = journal_undo(fault->env->journal, fault->ops->name, fault->step,
				      CONNECT_RECORD_LINKS, &state->record, sizeof(state->record),
				      err);
	memset(state->last, 0, sizeof(state->last));
	if (result >= 0)
		result = attach(state, fault, err);
	if (result < 0) {
		connect_close(state);
		return result;
	}
	state->is_on = true;
	fault->effect_started_ns = clock_now_ns();
	fault->effect_ended_ns = 0;
	return 0;
}

static int set_level(struct fault *fault, struct error *err)
{
	struct connect_state *state = fault->state;
	const uint32_t key = CONNECT_THRESHOLD;
	const uint64_t threshold = connect_threshold(fault);

	return bpf_map_set(state->counter_map, &key, &threshold, err);
}

static void read_counters(struct connect_state *state)
{
	for (uint32_t key = 0; state->counter_map >= 0 && key < CONNECT_COUNTERS; key++)
		bpf_map_get(state->counter_map, &key, &state->last[key], NULL);
}

static int end(struct fault *fault, enum fault_end how, int64_t *out_again_ns, struct error *err)
{
	struct connect_state *state = fault->state;

	(void)how;
	(void)err;
	*out_again_ns = 0;
	if (!state->is_on)
		return 0;
	for (unsigned i = 0; i < 2; i++) {
		cleanup_fd_at(&state->links[i]);
		state->links[i] = -1;
	}
	fault->effect_ended_ns = clock_now_ns();
	state->is_on = false;
	connect_drop_ended(state);
	read_counters(state);
	connect_close(state);
	return 0;
}

static int evidence(struct fault *fault, struct evidence *out, struct error *err)
{
	struct connect_state *state = fault->state;
	size_t used;

	connect_drop_ended(state); /* where nobody listens */
	read_counters(state);
	*out = (struct evidence){.hits = state->last[CONNECT_HIT], .unit = "connects"};
	snprintf(out->detail, sizeof(out->detail),
		 "%llu of %llu attempt%s to connect failed with %s",
		 (unsigned long long)state->last[CONNECT_HIT],
		 (unsigned long long)state->last[CONNECT_SEEN],
		 prose_plural(state->last[CONNECT_SEEN]),
		 params_text(fault->params, CONNECT_ERROR));
	used = strlen(out->detail);
	if (state->gone)
		snprintf(out->detail + used, sizeof(out->detail) - used,
			 "; %u of %u processes have ended", state->gone,
			 fault->target->process_count);
	if (state->is_on && !connect_is_waiting(fault) &&
	    (!bpf_link_is_attached(state->links[0]) || !bpf_link_is_attached(state->links[1])))
		return error_set(err, ESTALE, "%s was removed, or the programs detached",
				 state->group.directory);
	return 0;
}

/* From the record. */

static int read_record(const struct journal_record *record, struct connect_record *out,
		       struct error *err)
{
	memcpy(out, record->payload, sizeof(*out));
	out->program[sizeof(out->program) - 1] = '\0';
	if (record->type != CONNECT_RECORD_LINKS || strncmp(out->program, "sq_", 3) != 0)
		return error_set(err, EINVAL, "damaged connect record");
	return 0;
}

static int undo(const struct journal_record *record, struct error *err)
{
	struct connect_record what;
	int result = read_record(record, &what, err);

	return result < 0 ? result : bpf_links_undo(what.program, err);
}

static int verify(const struct journal_record *record, bool *out_gone, char *out_left,
		  size_t left_size, struct error *err)
{
	struct connect_record what;
	char commands[256];
	int result = read_record(record, &what, err);

	if (result == 0)
		result = bpf_links_say(what.program, commands, sizeof(commands), err);
	if (result < 0)
		return result;
	*out_gone = result == 0;
	snprintf(out_left, left_size,
		 "BPF programs %s at a connect hook; by hand (package bpftool): %s", what.program,
		 commands);
	return 0;
}

const struct fault_ops connect_fault = {
	.name = "connect",
	.summary = "connect() fails for processes that run, with an error of choice",
	.params = connect_params,
	.target_kind = TARGET_PROCESS,
	/* BPF, NET_ADMIN: to load and attach. SYS_ADMIN: to find links by number, when it is undone
	 * or verified. */
	.capabilities = 1ULL << CAP_BPF | 1ULL << CAP_NET_ADMIN | 1ULL << CAP_SYS_ADMIN,
	.explain = connect_explain,
	.check = check,
	.probe = probe,
	.plan = plan,
	.inject = inject,
	.set_level = set_level,
	.follow = connect_follow,
	.end = end,
	.undo = undo,
	.verify = verify,
	.evidence = evidence,
	.listen = connect_listen,
	.hear = connect_hear,
	.release = release,
};
