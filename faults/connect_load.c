/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * From the parameters of a connect fault to its maps and loaded programs, which do nothing until
 * they are attached.
 */
#include "faults/connect.h"

#include "injector/base/cleanup.h"
#include "injector/base/quantity.h"
#include "injector/kernel/bpf.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/stat.h>

#define INITIAL_PID_SPACE 0xeffffffcU /* inode, PROC_PID_INIT_INO in linux/proc_ns.h */

/* In the order of the words in connect.c. */
static const int errors[] = {ETIMEDOUT, ECONNREFUSED, EHOSTUNREACH, ENETUNREACH, EPERM};
static const int protocols[] = {IPPROTO_TCP, IPPROTO_UDP, 0};

static int error_of(const struct params *params)
{
	return errors[params_number(params, CONNECT_ERROR, 0)];
}

void connect_close_pair(int fds[2])
{
	cleanup_fd_at(&fds[0]);
	cleanup_fd_at(&fds[1]);
}

void connect_close(struct connect_state *state)
{
	int *const all[] = {&state->links[0],	 &state->links[1],    &state->programs[0],
			    &state->programs[1], &state->process_map, &state->counter_map};

	connect_watch_end(state);
	for (unsigned i = 0; i < sizeof(all) / sizeof(*all); i++) {
		cleanup_fd_at(all[i]);
		*all[i] = -1;
	}
}

/* Where our pids are counted: the programs see those of the initial namespace, unless told. */
static int find_pid_namespace(struct connect_scope *scope, struct error *err)
{
	struct stat about;

	if (stat("/proc/self/ns/pid", &about) < 0)
		return error_errno(err, errno, "/proc/self/ns/pid");
	if (about.st_ino == INITIAL_PID_SPACE)
		return 0;
	scope->namespace_device = about.st_dev;
	scope->namespace_inode = about.st_ino;
	return 0;
}

/* Of those that are still there, and may still be touched. */
static int add_process(struct connect_state *state, const struct target_process *process,
		       const struct target *target, struct error *err)
{
	const uint32_t pid = (uint32_t)process->id.pid, one = 1;
	struct error why = ERROR_INIT;
	int result = target_process_recheck(process, target, &why);

	if (result == -ESRCH) {
		state->gone++;
		return 0;
	}
	if (result == 0)
		return bpf_map_set(state->process_map, &pid, &one, err);
	if (err)
		*err = why;
	return result;
}

static int make_maps(struct connect_state *state, const struct target *target, uint64_t threshold,
		     struct error *err)
{
	const struct bpf_map_shape counters = {.name = state->record.program,
					       .type = BPF_MAP_TYPE_ARRAY,
					       .key_size = sizeof(uint32_t),
					       .value_size = sizeof(uint64_t),
					       .entries = CONNECT_COUNTERS};
	const struct bpf_map_shape processes = {.name = state->record.program,
						.type = BPF_MAP_TYPE_HASH,
						.key_size = sizeof(uint32_t),
						.value_size = sizeof(uint32_t),
						.entries = target ? target->process_count : 1};
	const uint32_t key = CONNECT_THRESHOLD;
	int result = bpf_map_new(&counters, &state->counter_map, err);

	if (result == 0)
		result = bpf_map_set(state->counter_map, &key, &threshold, err);
	if (result < 0 || !target)
		return result;
	state->gone = 0;
	result = bpf_map_new(&processes, &state->process_map, err);
	for (unsigned i = 0; result == 0 && i < target->process_count; i++)
		result = add_process(state, &target->processes[i], target, err);
	return result;
}

uint64_t connect_threshold(const struct fault *fault)
{
	int64_t share = params_number(fault->params, CONNECT_PROBABILITY, SHARE_ONE);

	/* parts per billion twice, of 2^32: within 64 bits, step by step */
	share = share * fault->level_ppb / SHARE_ONE;
	return ((uint64_t)share << 32) / SHARE_ONE;
}

int connect_load(struct connect_state *state, const struct fault *fault, int out_fds[2],
		 struct error *err)
{
	struct connect_scope scope = {
		.params = fault->params,
		.to_key = CONNECT_TO,
		.except_key = CONNECT_EXCEPT,
		.protocol = protocols[params_number(fault->params, CONNECT_PROTOCOL, 0)],
		.error = error_of(fault->params),
	};
	int result = find_pid_namespace(&scope, err);

	if (result == 0)
		result = make_maps(state, state->is_whole_group ? NULL : fault->target,
				   connect_threshold(fault), err);
	scope.process_map = state->process_map;
	scope.counter_map = state->counter_map;
	if (result == 0)
		result = connect_program_load(&scope, AF_INET, state->record.program, &out_fds[0],
					      err);
	if (result == 0)
		result = connect_program_load(&scope, AF_INET6, state->record.program, &out_fds[1],
					      err);
	if (result < 0 && scope.namespace_inode && !state->is_whole_group)
		error_remedy(err, "in a pid namespace of its own squall needs Linux 6.10 for this; "
				  "select a whole control group, or run it outside");
	else if (result < 0 && scope.error != EPERM)
		error_remedy(err, "errors other than EPERM need Linux 5.18: error: EPERM");
	return result;
}
