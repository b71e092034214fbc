/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "faults/redirect_lookup.h"

#include "faults/redirect_state.h"
#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "injector/kernel/bpf.h"
#include "injector/kernel/namespace.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NAME_START "sq_"
#define PASSES_MAX 8192 /* connections of all responders of the process, and these */
/* A handshake that has begun with us is not cut: so long its last packet may be on its way. */
#define SETTLE_NS (500 * NSEC_PER_MSEC)

/* Of all faults of this process that are in force. */
static int passes = -1;
static unsigned users;

static int take_passes(struct error *err)
{
	const struct bpf_map_shape shape = {.name = "sq_passes",
					    .type = BPF_MAP_TYPE_HASH,
					    .key_size = sizeof(struct redirect_pass_key),
					    .value_size = sizeof(struct redirect_pass_value),
					    .entries = PASSES_MAX};
	int result = users ? 0 : bpf_map_new(&shape, &passes, err);

	users += result == 0;
	return result;
}

static void close_lookup(struct redirect_lookup *lookup)
{
	bool is_user = lookup->pass.map >= 0;

	cleanup_fd_at(&lookup->link);
	cleanup_fd_at(&lookup->sockets);
	netlink_close(lookup->pass.route);
	*lookup = REDIRECT_LOOKUP_CLOSED;
	if (!is_user || --users)
		return;
	cleanup_fd_at(&passes);
	passes = -1;
}

static int open_lookup(struct redirect_lookup *lookup, uint32_t space, uint32_t mark,
		       struct error *err)
{
	const struct bpf_map_shape shape = {.name = "sq_sockets",
					    .type = BPF_MAP_TYPE_SOCKMAP,
					    .key_size = sizeof(uint32_t),
					    .value_size = sizeof(uint32_t),
					    .entries = 2};
	int result = take_passes(err);

	if (result < 0)
		return result;
	lookup->pass = (struct redirect_pass){.map = passes, .space = space, .mark = mark};
	result = bpf_map_new(&shape, &lookup->sockets, err);
	if (result < 0)
		close_lookup(lookup);
	return result;
}

static int load(const struct redirect_lookup *lookup, const struct target *target, const char *name,
		int *out_fd, struct error *err)
{
	const struct redirect_lookup_scope scope = {
		.target = target, .pass = &lookup->pass, .sockets = lookup->sockets};

	return redirect_lookup_program_load(&scope, name, out_fd, err);
}

/* Everything but the effect. */
static int rehearse(const struct target *target, const char *name, struct error *err)
{
	struct redirect_lookup lookup = REDIRECT_LOOKUP_CLOSED;
	cleanup_fd int program = -1;
	int result;

	bpf_unlimit_memory();
	result = open_lookup(&lookup, 0, 0, err);
	if (result == 0)
		result = load(&lookup, target, name, &program, err);
	close_lookup(&lookup);
	return result;
}

void redirect_lookup_probe(char *out_reason, size_t size)
{
	struct target every = {.kind = TARGET_TRAFFIC};
	struct error why = ERROR_INIT;
	int result = params_init(&every.params, traffic_params, &why);

	if (result == 0)
		result = rehearse(&every, "squall_probe", &why);
	params_free(&every.params);
	snprintf(out_reason, size, "%s", result < 0 ? why.text : "");
}

/* Other programs. */

struct search {
	const struct redirect_state *state;
	bool are_ours;		     /* those of squall are looked for, of other processes */
	char name[BPF_OBJ_NAME_LEN]; /* the first one found */
	uint32_t id;		     /* of the link at hand */
	bool is_own;
};

static void compare_link(void *context, const struct redirect_state *live)
{
	struct search *search = context;
	struct bpf_lookup_link link;

	if (live->lookup.link >= 0 && bpf_link_describe_lookup(live->lookup.link, &link))
		search->is_own |= link.id == search->id;
}

static int look_at_link(void *context, int link_fd, const char *name)
{
	struct search *search = context;
	struct bpf_lookup_link link;
	bool is_ours = strncmp(name, NAME_START, strlen(NAME_START)) == 0;

	if (search->name[0] || is_ours != search->are_ours ||
	    !bpf_link_describe_lookup(link_fd, &link) ||
	    link.namespace_inode != (uint32_t)search->state->record.namespace_id.inode)
		return 0;
	search->id = link.id;
	search->is_own = false;
	redirect_each_live(compare_link, search);
	if (!search->is_own)
		snprintf(search->name, sizeof(search->name), "%s", name[0] ? name : "(nameless)");
	return 0;
}

int redirect_lookup_find_other(const struct redirect_state *state, char *out, size_t size,
			       struct error *err)
{
	struct search search = {.state = state};
	int result = bpf_links_each(look_at_link, &search, err);

	if (result == 0)
		snprintf(out, size, "%s", search.name);
	return result;
}

/* Requests would go round between two responders that do not know of each other. */
static int refuse_other_runs(const struct redirect_state *state, struct error *err)
{
	struct search search = {.state = state, .are_ours = true};
	int result = bpf_links_each(look_at_link, &search, err);

	if (result < 0 || !search.name[0])
		return result;
	error_set(err, EBUSY,
		  "another run meets requests at servers of this network namespace (program %s)",
		  search.name);
	return error_remedy(err, "put both faults into one experiment, or wait for the end of that "
				 "run (squall status)");
}

/* In the life of a fault. */

static int plan(struct redirect_state *state, const struct fault *fault, struct error *err)
{
	const char *run = fault->env && fault->env->run_id ? fault->env->run_id : "RUN";
	int result;

	snprintf(state->record.table, sizeof(state->record.table), NAME_START "%.6s_%u", run,
		 fault->step);
	result = rehearse(fault->target, state->record.table, err);
	if (result < 0)
		error_remedy(err, "%s", state->kind->needs);
	return result < 0 ? result : refuse_other_runs(state, err);
}

static int open_maps(struct redirect_state *state, const struct fault *fault, int *out_floor,
		     struct error *err)
{
	int result = open_lookup(&state->lookup, (uint32_t)state->record.namespace_id.inode,
				 state->mark, err);

	(void)out_floor; /* a socket that is closed is in no map any more */
	if (result == 0)
		result = netlink_open(fault->target->namespace_fd, &state->lookup.pass.route, err);
	return result;
}

static void set_listeners(const struct redirect_pass *pass, const struct redirect_state *state,
			  bool are_there)
{
	if (pass->map < 0 || !state->responder || !state->responder->port ||
	    pass->space != (uint32_t)state->record.namespace_id.inode)
		return;
	redirect_pass_set_listener(pass, AF_INET, state->responder->port, are_there);
	redirect_pass_set_listener(pass, AF_INET6, state->responder->port, are_there);
}

static void spare_one(void *context, const struct redirect_state *state)
{
	set_listeners(context, state, true);
}

void redirect_lookup_spare(const struct redirect_state *state)
{
	struct redirect_pass pass = {.map = passes,
				     .space = (uint32_t)state->record.namespace_id.inode};

	if (state->lookup.pass.map >= 0)
		redirect_each_live(spare_one, &pass);
	else
		set_listeners(&pass, state, true);
}

void redirect_lookup_spare_end(const struct redirect_state *state)
{
	const struct redirect_pass pass = {.map = passes,
					   .space = (uint32_t)state->record.namespace_id.inode};

	set_listeners(&pass, state, false);
}

static int add_socket(const struct redirect_state *state, int family, struct error *err)
{
	const uint32_t key = family == AF_INET6;
	const int fd = state->kind->listener(state->responder, family);
	const uint32_t value = (uint32_t)fd;

	return fd < 0 ? 0 : bpf_map_set(state->lookup.sockets, &key, &value, err);
}

static int attach(struct redirect_state *state, const struct fault *fault, struct error *err)
{
	cleanup_fd int program = -1;
	int result = load(&state->lookup, fault->target, state->record.table, &program, err);

	if (result == 0)
		result = bpf_link_lookup(program, fault->target->namespace_fd, &state->lookup.link,
					 err);
	return result; /* the link holds the program */
}

static int commit(struct fault *fault, struct error *err)
{
	struct redirect_state *state = fault->state;
	int result = refuse_other_runs(state, err);

	if (result == 0)
		result = add_socket(state, AF_INET, err);
	if (result == 0)
		result = add_socket(state, AF_INET6, err);
	if (result == 0)
		result = attach(state, fault, err);
	/* another run may have looked at the same moment */
	return result < 0 ? result : refuse_other_runs(state, err);
}

static int soften(struct redirect_state *state)
{
	cleanup_fd_at(&state->lookup.link);
	state->lookup.link = -1;
	return 0;
}

static void close_all(struct redirect_state *state)
{
	close_lookup(&state->lookup);
}

static int check(struct redirect_state *state, struct error *err)
{
	struct bpf_lookup_link link;

	if (bpf_link_describe_lookup(state->lookup.link, &link))
		return 0;
	return error_set(err, ESTALE, "program %s was detached", state->record.table);
}

/* From the record. */

static int undo(const struct redirect_record *what, struct error *err)
{
	return bpf_links_undo(what->table, err);
}

static int verify(const struct redirect_record *what, bool *out_gone, char *out_left,
		  size_t left_size, struct error *err)
{
	char commands[256];
	int result = bpf_links_say(what->table, commands, sizeof(commands), err);

	if (result < 0)
		return result;
	*out_gone = result == 0;
	snprintf(out_left, left_size,
		 "BPF program %s at the socket lookup of a network namespace; by hand (package "
		 "bpftool): %s",
		 what->table, commands);
	return 0;
}

const struct redirect_means redirect_by_lookup = {
	.record = REDIRECT_RECORD_LOOKUP,
	.settle_ns = SETTLE_NS,
	.returns = "what is passed on comes back: a rule of nat rewrites the source of what goes "
		   "over lo",
	.plan = plan,
	.open = open_maps,
	.commit = commit,
	.soften = soften,
	.close = close_all,
	.check = check,
	.undo = undo,
	.verify = verify,
};
