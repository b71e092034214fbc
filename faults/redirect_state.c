/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "faults/redirect_state.h"

#include "faults/target_group.h"
#include "faults/target_namespace.h"
#include "injector/base/clock.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#define DRAIN_SOFT_NS (2 * NSEC_PER_SEC)
#define DRAIN_NOW_NS  (200 * NSEC_PER_MSEC)
#define POLL_NS	      (2 * NSEC_PER_MSEC)

static struct redirect_state *live;
static pid_t live_in; /* a guardian is forked with the list, but has closed the sockets in it */

/* Connections before the table: their last words, also to those that nobody has accepted yet, are
 * still to be translated, or these would wait for an answer without end. The sockets that datagrams
 * are redirected to after it. */
static void finish(struct redirect_state *state)
{
	if (state->responder) {
		responder_hang_up(state->responder);
		state->kind->keep_counters(state);
		redirect_lookup_spare_end(state);
	}
	state->kind->means->close(state);
	responder_free(state->responder);
	state->responder = NULL;
	state->phase = REDIRECT_IDLE;
}

static int start_responder(struct redirect_state *state, const struct fault *fault,
			   struct error *err)
{
	int floor = -1;
	int result = state->kind->new_responder(fault, &state->responder, err);

	if (result == 0)
		result = state->kind->means->open(state, fault, &floor, err);
	if (result == 0)
		result = responder_start(state->responder, floor, err);
	if (result == 0)
		redirect_lookup_spare(state);
	return result;
}

int redirect_inject(struct fault *fault, struct error *err)
{
	struct redirect_state *state = fault->state;
	int result;

	state->mark = redirect_new_mark(state->kind->mark_base);
	result = start_responder(state, fault, err);
	if (result == 0) {
		state->record.port = state->kind->has_zone ? 0 : state->responder->port;
		result = journal_undo(fault->env->journal, fault->ops->name, fault->step,
				      state->kind->means->record, &state->record,
				      sizeof(state->record), err);
	}
	if (result >= 0)
		result = state->kind->commit(fault, err);
	if (result < 0) {
		finish(state);
		return result;
	}
	fault->effect_started_ns = clock_now_ns();
	fault->effect_ended_ns = 0;
	state->phase = REDIRECT_ACTIVE;
	redirect_note_interfaces(state, fault->target);
	return 0;
}

int redirect_commit(struct fault *fault, struct error *err)
{
	const struct redirect_state *state = fault->state;

	return state->kind->means->commit(fault, err);
}

int redirect_end(struct fault *fault, enum fault_end how, int64_t *out_again_ns, struct error *err)
{
	struct redirect_state *state = fault->state;
	int64_t now_ns;

	(void)err;
	*out_again_ns = 0;
	if (state->phase == REDIRECT_IDLE)
		return 0;
	if (state->phase == REDIRECT_ACTIVE) {
		bool is_soft = state->kind->means->soften(state) == 0;

		if (is_soft)
			responder_soften(state->responder);
		else
			finish(state);
		fault->effect_ended_ns = clock_now_ns();
		if (!is_soft)
			return 0;
		state->phase = REDIRECT_DRAINING;
		state->wait_until_ns = fault->effect_ended_ns + DRAIN_SOFT_NS;
		state->settled_ns = fault->effect_ended_ns + state->kind->means->settle_ns;
	}
	now_ns = clock_now_ns();
	if (how == FAULT_END_NOW && state->wait_until_ns > now_ns + DRAIN_NOW_NS)
		state->wait_until_ns = now_ns + DRAIN_NOW_NS;
	if (now_ns >= state->wait_until_ns ||
	    (now_ns >= state->settled_ns && responder_is_empty(state->responder)))
		finish(state);
	else
		*out_again_ns = POLL_NS;
	return 0;
}

int redirect_check_in_force(struct redirect_state *state, const struct target *target,
			    struct error *err)
{
	int result;

	if (state->phase != REDIRECT_ACTIVE)
		return 0;
	result = target_namespace_check(
		&(struct target_namespace){target->namespace_fd, &state->record.namespace_id,
					   state->record.namespace_name, &state->namespace_keeper},
		err);

	if (result < 0)
		return result;
	if (responder_is_broken(state->responder))
		return error_set(err, ESTALE, "the responder has stopped");
	if (state->responder->is_looping)
		return error_set(err, ESTALE, "%s", state->kind->means->returns);
	result = state->kind->means->check(state, err);
	if (result < 0)
		return result;
	result = redirect_check_links(state->route, target, state->kind->asked, err);
	return result < 0 ? result : target_group_check(target, err);
}

void redirect_register(struct redirect_state *state)
{
	state->next = live;
	live = state;
	live_in = getpid();
}

void redirect_release(struct redirect_state *state)
{
	for (struct redirect_state **at = &live; *at; at = &(*at)->next)
		if (*at == state) {
			*at = state->next;
			break;
		}
	finish(state);
	netlink_close(state->netfilter);
	netlink_close(state->route);
}

void redirect_each_live(void (*fn)(void *context, const struct redirect_state *state),
			void *context)
{
	for (struct redirect_state *state = live_in == getpid() ? live : NULL; state;
	     state = state->next)
		fn(context, state);
}

/* From the record. */

static int read_record(const struct journal_record *record, struct redirect_record *out,
		       const struct redirect_means **out_means, struct error *err)
{
	static const struct redirect_means *const means[] = {&redirect_by_table,
							     &redirect_by_lookup};

	*out_means = NULL;
	for (unsigned i = 0; i < sizeof(means) / sizeof(*means); i++)
		if (means[i]->record == record->type)
			*out_means = means[i];
	memcpy(out, record->payload, sizeof(*out));
	out->namespace_name[sizeof(out->namespace_name) - 1] = '\0';
	out->table[sizeof(out->table) - 1] = '\0';
	if (!*out_means)
		return error_set(err, EINVAL, "unknown %s record %u", record->owner, record->type);
	/* It goes into the text of a transaction */
	if (!out->table[0] ||
	    out->table[strspn(out->table, "abcdefghijklmnopqrstuvwxyz0123456789_")] != '\0')
		return error_set(err, EINVAL, "damaged %s record", record->owner);
	return 0;
}

/* end() was not called, or failed. */
static void finish_own(const struct redirect_record *what)
{
	if (live_in != getpid())
		return;
	for (struct redirect_state *state = live; state; state = state->next)
		if (namespace_is_same(&state->record.namespace_id, &what->namespace_id) &&
		    strcmp(state->record.table, what->table) == 0)
			finish(state);
}

int redirect_undo(const struct journal_record *record, struct error *err)
{
	const struct redirect_means *means;
	struct redirect_record what;
	int result = read_record(record, &what, &means, err);

	if (result < 0)
		return result;
	finish_own(&what);
	return means->undo(&what, err);
}

int redirect_verify(const struct journal_record *record, bool *out_gone, char *out_left,
		    size_t left_size, struct error *err)
{
	const struct redirect_means *means;
	struct redirect_record what;
	int result = read_record(record, &what, &means, err);

	return result < 0 ? result : means->verify(&what, out_gone, out_left, left_size, err);
}
