/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The http fault: single requests are answered with an error, late, not at all or with something
 * else, for everybody in a network namespace or for chosen control groups in it, without touching
 * client or server. Order: responder -> journal -> the table (the effect starts); the redirecting
 * rules away and nothing is met any more (the effect ends) -> exchanges under way finish ->
 * responder and table go.
 */
#include "faults/http.h"

#include "faults/target_group.h"
#include "faults/target_namespace.h"
#include "injector/base/clock.h"
#include "injector/base/prose.h"
#include "injector/kernel/nft.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/netfilter.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DRAIN_SOFT_NS (2 * NSEC_PER_SEC)
#define DRAIN_NOW_NS  (200 * NSEC_PER_MSEC)
#define POLL_NS	      (2 * NSEC_PER_MSEC)

static struct http_state *live;
static pid_t live_in; /* a guardian is forked with the list, but has closed the sockets in it */

/* Injecting. */

/* When the process is killed, the kernel lets go of the highest descriptor first: connections, also
 * those that nobody has accepted yet, are reset while their addresses are still translated. Who
 * comes between that and the end of the table, some microseconds, is refused. Otherwise he would
 * wait for an answer without end. */
static int start_responder(struct http_state *state, const struct fault *fault, struct error *err)
{
	struct http_responder_config config = {.namespace_fd = fault->target->namespace_fd,
					       .mark = state->mark,
					       .seed = fault->env->seed + fault->step,
					       .policy = &state->policy};
	int result = netlink_open_netfilter(fault->target->namespace_fd, &state->owner, err);

	if (result < 0)
		return result;
	config.floor = netlink_last_descriptor(state->owner);
	result = http_responder_new(&config, &state->responder, err);
	return result < 0 ? result : http_responder_start(state->responder, err);
}

/* Takes responder and table away. */
static void finish(struct http_state *state)
{
	if (state->responder)
		http_responder_counters(state->responder, &state->last);
	/* before the table: the connections' last words are still to be translated */
	http_responder_free(state->responder);
	state->responder = NULL;
	netlink_close(state->owner);
	state->owner = NULL;
	state->phase = HTTP_IDLE;
}

int http_find_connections(struct http_state *state, const struct target *target,
			  struct target_connections *out, struct error *err)
{
	return target_connections_find(
		state->diag, target, HTTP_PORT,
		&(struct target_spared){state->control, state->control_count}, out, err);
}

/* Those that exist, and none that is made behind the table: ours are among these. */
static int start_anew(struct http_state *state, const struct fault *fault, struct error *err)
{
	struct target_connections old = {0};
	int result = 0;

	if (state->diag)
		result = http_find_connections(state, fault->target, &old, err);
	if (result == 0)
		result = http_table_commit(state, fault->target, fault->env->run_id, fault->step,
					   err);
	if (result == 0 && state->diag)
		result = target_connections_end(state->diag, &old, &state->reset, err);
	target_connections_drop(&old);
	return result;
}

static int inject(struct fault *fault, struct error *err)
{
	struct http_state *state = fault->state;
	int result;

	http_policy_scale(&state->policy, fault->level_ppb);
	state->mark = redirect_new_mark(HTTP_MARK_BASE);
	state->last = (struct http_counters){0};
	state->reset = 0;
	result = start_responder(state, fault, err);
	if (result == 0) {
		state->record.port = http_responder_port(state->responder);
		result =
			journal_undo(fault->env->journal, fault->ops->name, fault->step,
				     HTTP_RECORD_TABLE, &state->record, sizeof(state->record), err);
	}
	if (result >= 0)
		result = start_anew(state, fault, err);
	if (result < 0) {
		finish(state);
		return result;
	}
	fault->effect_started_ns = clock_now_ns();
	fault->effect_ended_ns = 0;
	state->phase = HTTP_ACTIVE;
	return 0;
}

static int set_level(struct fault *fault, struct error *err)
{
	struct http_state *state = fault->state;

	(void)err;
	http_policy_scale(&state->policy, fault->level_ppb);
	return 0;
}

/* Ending. */

static int end(struct fault *fault, enum fault_end how, int64_t *out_again_ns, struct error *err)
{
	struct http_state *state = fault->state;
	int64_t now_ns;

	(void)err;
	*out_again_ns = 0;
	if (state->phase == HTTP_IDLE)
		return 0;
	if (state->phase == HTTP_ACTIVE) {
		bool is_soft = state->owner && http_table_soften(state, NULL) == 0;

		if (!is_soft) {
			finish(state);
			fault->effect_ended_ns = clock_now_ns();
			return 0;
		}
		http_responder_soften(state->responder);
		fault->effect_ended_ns = clock_now_ns();
		state->phase = HTTP_DRAINING;
		state->wait_until_ns = fault->effect_ended_ns + DRAIN_SOFT_NS;
	}
	now_ns = clock_now_ns();
	if (how == FAULT_END_NOW && state->wait_until_ns > now_ns + DRAIN_NOW_NS)
		state->wait_until_ns = now_ns + DRAIN_NOW_NS;
	if (now_ns >= state->wait_until_ns || http_responder_is_empty(state->responder))
		finish(state);
	else
		*out_again_ns = POLL_NS;
	return 0;
}

/* Evidence. */

static int check_in_force(struct http_state *state, const struct target *target, struct error *err)
{
	uint32_t owner;
	int result = target_namespace_check(
		&(struct target_namespace){target->namespace_fd, &state->record.namespace_id,
					   state->record.namespace_name, &state->namespace_keeper},
		err);

	if (result < 0)
		return result;
	if (http_responder_is_broken(state->responder))
		return error_set(err, ESTALE, "the responder has stopped");
	if (http_responder_is_looping(state->responder))
		return error_set(err, ESTALE, "%s", REDIRECT_COMES_BACK);
	if (nft_find_table(state->netfilter, NFPROTO_INET, state->record.table, &owner, NULL) ==
	    -ENOENT)
		return error_set(err, ESTALE, "table %s was removed", state->record.table);
	result = redirect_check_links(state->route, target, "requests", err);
	return result < 0 ? result : target_group_check(target, err);
}

static void say_counts(const struct http_counters *seen, uint64_t reset, struct evidence *out)
{
	const struct {
		uint64_t count;
		const char *noun, *what;
	} counts[] = {
		{seen->answered, "", "answered"},
		{seen->aborted, "", "aborted"},
		{seen->delayed, "", "delayed"},
		{seen->changed_requests, "request", " changed"},
		{seen->changed_responses, "response", " changed"},
		{seen->unchanged, "", "not changed"},
		{reset, "connection", " ended"},
		{seen->strange, "connection", " not understood"},
		{seen->refused, "connection", " refused (too many)"},
		{seen->left, "half-closed connection", " ended (too many)"},
	};
	struct prose prose;

	prose_begin(&prose, out->detail, sizeof(out->detail));
	prose_say(&prose, "%llu of %llu request%s met", (unsigned long long)seen->hits,
		  (unsigned long long)seen->requests, prose_plural(seen->requests));
	for (size_t i = 0; i < sizeof(counts) / sizeof(*counts); i++)
		if (counts[i].count)
			prose_say(&prose, ", %llu %s%s%s", (unsigned long long)counts[i].count,
				  counts[i].noun,
				  counts[i].noun[0] ? prose_plural(counts[i].count) : "",
				  counts[i].what);
	prose_end(&prose);
}

static int evidence(struct fault *fault, struct evidence *out, struct error *err)
{
	struct http_state *state = fault->state;
	struct http_counters seen = state->last;
	uint64_t gone;

	if (state->responder)
		http_responder_counters(state->responder, &seen);
	gone = seen.aborted + seen.answered;
	/* connections that it has ended were hit, too */
	*out = (struct evidence){.hits = seen.hits + state->reset,
				 .dropped = seen.aborted,
				 .passed = seen.hits > gone ? seen.hits - gone : 0,
				 .delayed = seen.delayed,
				 .unit = !state->reset ? "requests"
					 : !seen.hits  ? "connections"
						       : "requests and connections"};
	say_counts(&seen, state->reset, out);
	return state->phase == HTTP_ACTIVE ? check_in_force(state, fault->target, err) : 0;
}

/* Restoring. */

void http_register(struct http_state *state)
{
	state->next = live;
	live = state;
	live_in = getpid();
}

static void release(struct fault *fault)
{
	struct http_state *state = fault->state;

	if (!state)
		return;
	for (struct http_state **at = &live; *at; at = &(*at)->next)
		if (*at == state) {
			*at = state->next;
			break;
		}
	finish(state);
	netlink_close(state->netfilter);
	netlink_close(state->route);
	netlink_close(state->diag);
	free(state);
	fault->state = NULL;
}

/* end() was not called, or failed. */
static void finish_own(const struct redirect_record *record)
{
	if (live_in != getpid())
		return;
	for (struct http_state *state = live; state; state = state->next)
		if (namespace_is_same(&state->record.namespace_id, &record->namespace_id) &&
		    strcmp(state->record.table, record->table) == 0)
			finish(state);
}

static int undo(const struct journal_record *record, struct error *err)
{
	struct redirect_record what;
	int result = redirect_read(record, HTTP_RECORD_TABLE, &what, err);

	if (result < 0)
		return result;
	finish_own(&what);
	return redirect_undo(&what, err);
}

static int verify(const struct journal_record *record, bool *out_gone, char *out_left,
		  size_t left_size, struct error *err)
{
	struct redirect_record what;
	int result = redirect_read(record, HTTP_RECORD_TABLE, &what, err);

	return result < 0 ? result : redirect_verify(&what, out_gone, out_left, left_size, err);
}

const struct fault_ops http_fault = {
	.name = "http",
	.summary = "single HTTP/1 requests answered with an error, delayed, aborted or changed",
	.params = http_params,
	.target_kind = TARGET_TRAFFIC,
	.needs_no_interface = true,
	/* NET_ADMIN: the table, SO_PRIORITY. SYS_ADMIN and SYS_PTRACE: to enter another network
	 * namespace than our own, and to find it again in the guardian. BIND_SERVICE: the key to
	 * sockets of its own, see sandbox_lists.c */
	.capabilities = 1ULL << CAP_NET_ADMIN | 1ULL << CAP_SYS_ADMIN | 1ULL << CAP_SYS_PTRACE |
			1ULL << CAP_NET_BIND_SERVICE,
	.explain = http_explain,
	.check = http_check,
	.check_target = http_check_target,
	.probe = http_probe_machine,
	.plan = http_plan,
	.inject = inject,
	.set_level = set_level,
	.end = end,
	.undo = undo,
	.verify = verify,
	.evidence = evidence,
	.release = release,
};
