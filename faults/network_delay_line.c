/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See network_delay_line.h. What is needed later is opened while privileges are wide; the threads
 * that move the packets are delay_thread.c.
 */
#include "faults/network_delay_line.h"

#include "faults/delay_hold.h"
#include "faults/delay_hold_program.h"
#include "faults/delay_return.h"
#include "faults/delay_thread.h"
#include "injector/base/cleanup.h"
#include "injector/base/clock.h"
#include "injector/kernel/bpf.h"
#include "injector/kernel/link.h"
#include "injector/kernel/namespace.h"
#include "injector/kernel/netlink.h"
#include "injector/kernel/qdisc.h"
#include "injector/kernel/tap.h"

#include <errno.h>
#include <sched.h>
#include <string.h>

#define LOOK_EVERY (20 * NSEC_PER_MSEC) /* to tell how much a second it is */

struct delay_line {
	int tap_fds[TAP_QUEUES_MAX], program_fd, carry_fd;
	struct netlink *netlink; /* in the interface's namespace */
	char name[IFNAMSIZ];
	struct tap tap;
	struct delay_budget budget;
	struct delay_thread *threads[TAP_QUEUES_MAX];
	unsigned count; /* of both */
	bool is_started;

	struct delay_hold *hold;
	bool may_hold; /* and has not been refused */
	int64_t looked_ns;
	uint64_t looked_bulk, looked_packets;
	uint32_t mtu;	  /* of the interface */
	int64_t delay_ns; /* as last set */
};

static struct delay_budget whole = {.blocks = DELAY_LINES_BYTES / DELAY_QUEUE_BLOCK};

struct inside {
	struct delay_line *line;
	int interface_index;
};

/* In the interface's namespace. */
static int open_inside(void *context, struct error *err)
{
	struct inside *inside = context;
	struct delay_line *line = inside->line;
	struct link link;
	int status = netlink_open(-1, &line->netlink, err);

	if (!status)
		status = link_get(line->netlink, inside->interface_index, &link, err);
	if (status)
		return status;
	line->tap.kind = tap_kind_for(link.type);
	line->mtu = link.mtu;
	for (unsigned i = 0; !status && i < line->count; i++)
		status = tap_open(&line->tap_fds[i], err);
	return status;
}

static int check_config(const struct delay_line_config *config, struct error *err)
{
	if (!config->effect || config->effect->delay_ns < 0 || config->effect->jitter_ns < 0 ||
	    !config->mark || config->interface_index <= 0 || strlen(config->name) >= IFNAMSIZ ||
	    config->threads > TAP_QUEUES_MAX)
		return error_set(err, EINVAL,
				 "delay line '%s': delay, jitter, mark, interface or threads",
				 config->name);
	if (config->is_loopback && config->is_ingress)
		return error_set(err, EINVAL,
				 "delay line '%s': packets on lo are delayed at egress only",
				 config->name);
	return 0;
}

/* Half of the processors: whoever sends and receives the packets needs the others, and what is real
 * time must not have all of them. */
static unsigned useful_threads(void)
{
	cpu_set_t allowed;
	unsigned half;

	if (sched_getaffinity(0, sizeof(allowed), &allowed))
		return 1;
	half = (unsigned)CPU_COUNT(&allowed) / 2;
	return half < 1 ? 1 : half > TAP_QUEUES_MAX ? TAP_QUEUES_MAX : half;
}

static int load_programs(struct delay_line *line, const struct delay_line_config *config,
			 struct error *err)
{
	const bool to_ingress = config->is_ingress != config->refusal.is_on;
	const bool carries = config->reenters && line->tap.kind == TAP_ETHERNET;
	const struct delay_return way = {.index = config->reenters ? 0 : config->interface_index,
					 .is_ingress = to_ingress,
					 .mark = to_ingress || config->marks_leaving ? config->mark
										     : 0,
					 .carries = carries ? config->carries : 0};
	int status = delay_return_load(&way, &line->program_fd, err);

	if (status || !way.carries)
		return status;
	line->tap.tag = DELAY_TAG_SIZE;
	return delay_carry_load(&way, &line->carry_fd, err);
}

static int prepare_threads(struct delay_line *line, uint64_t seed, struct error *err)
{
	int status = 0;

	delay_budget_init(&line->budget, DELAY_LINE_BYTES, &whole);
	for (unsigned i = 0; !status && i < line->count; i++)
		status = delay_thread_new(&line->budget, seed + i, &line->threads[i], err);
	return status;
}

int delay_line_prepare(const struct delay_line_config *config, struct delay_line **out,
		       struct error *err)
{
	struct delay_line *line;
	struct inside inside;
	int status = check_config(config, err);

	if (status)
		return status;
	line = calloc(1, sizeof(*line));
	if (!line)
		return error_errno(err, ENOMEM, "delay line");
	line->program_fd = line->carry_fd = -1;
	for (unsigned i = 0; i < TAP_QUEUES_MAX; i++)
		line->tap_fds[i] = -1;
	line->count = config->threads ? config->threads : useful_threads();
	memcpy(line->name, config->name, strlen(config->name));
	inside = (struct inside){line, config->interface_index};
	status = prepare_threads(line, config->seed, err);
	if (!status)
		status = namespace_run(config->namespace_fd, open_inside, &inside, err);
	if (!status)
		status = load_programs(line, config, err);
	if (status) {
		delay_line_stop(line);
		return error_prefix(err, "delay line");
	}
	line->tap.offload = !config->cuts_to_wire	 ? TAP_WHOLE
			    : config->finishes_checksums ? TAP_FINISHED
							 : TAP_CUT;
	for (unsigned i = 0; i < line->count; i++) {
		delay_thread_refuse(line->threads[i], &config->refusal);
		delay_thread_cut(line->threads[i], config->segment);
		delay_thread_pick(line->threads[i], &config->payload);
	}
	line->may_hold = config->only_delays && !config->segment && !config->payload.count &&
			 !config->cuts_to_wire && !config->refusal.is_on && !config->is_loopback &&
			 line->tap.kind == TAP_ETHERNET && line->carry_fd < 0 &&
			 !config->reenters && !config->is_ingress && line->mtu <= HOLD_MTU_MAX;
	delay_line_set(line, config->effect);
	*out = line;
	return 0;
}

#define WAY_IN "squall_delay_carry"

/* By clsact of a tap that is still down, which makes nobody wait. A link (tcx) waits for an RCU
 * grace period (tcx_entry_sync()): 3 to 18 ms instead of 0.3 (6.18). */
static int attach_programs(struct delay_line *line, struct error *err)
{
	const struct bpf_filter way_back = {.hook = QDISC_INGRESS,
					    .priority = 1,
					    .program_fd = line->program_fd,
					    .name = DELAY_WAY_BACK};
	const struct bpf_filter way_in = {
		.hook = QDISC_EGRESS, .priority = 1, .program_fd = line->carry_fd, .name = WAY_IN};
	int status;

	status = qdisc_add_clsact(line->netlink, line->tap.index, err);
	if (!status)
		status = filter_add_bpf(line->netlink, line->tap.index, &way_back, err);
	if (!status && line->carry_fd >= 0)
		status = filter_add_bpf(line->netlink, line->tap.index, &way_in, err);
	return status;
}

int delay_line_has_programs(const struct delay_line *line, struct netlink *netlink, bool *out,
			    struct error *err)
{
	struct filter filter;
	int result = line->hold ? delay_hold_check(line->hold, err) : 0;

	if (result < 0)
		return result;
	*out = true;
	result = filter_find(netlink, line->tap.index, QDISC_INGRESS, DELAY_WAY_BACK, &filter, out,
			     err);
	if (result == 0 && *out && line->carry_fd >= 0)
		result = filter_find(netlink, line->tap.index, QDISC_EGRESS, WAY_IN, &filter, out,
				     err);
	return result;
}

bool delay_line_owns(const struct delay_line *line, int index)
{
	return index > 0 &&
	       (line->tap.index == index || (line->hold && delay_hold_index(line->hold) == index));
}

int delay_line_start(struct delay_line *line, struct error *err)
{
	const unsigned tag = line->tap.tag;
	int status = tap_create(line->tap_fds, line->count, line->name, line->tap.kind,
				line->tap.offload, &line->tap, err);

	line->tap.tag = tag;
	if (!status)
		status = tap_configure(&line->tap, line->netlink, err);
	if (!status)
		status = attach_programs(line, err);
	if (!status)
		status = tap_bring_up(&line->tap, line->netlink, err);
	for (unsigned i = 0; !status && i < line->count; i++)
		status = delay_thread_start(line->threads[i], line->tap_fds[i], &line->tap, err);
	if (status)
		return error_prefix(err, "delay line");
	line->is_started = true;
	return 0;
}

int delay_line_last_descriptor(const struct delay_line *line)
{
	int last = -1;

	for (unsigned i = 0; i < line->count; i++)
		if (line->tap_fds[i] > last)
			last = line->tap_fds[i];
	return last;
}

void delay_line_stop(struct delay_line *line)
{
	if (!line)
		return;
	for (unsigned i = 0; i < line->count; i++)
		delay_thread_free(line->threads[i]);
	delay_hold_free(line->hold);
	for (unsigned i = 0; i < line->count; i++)
		cleanup_fd_at(&line->tap_fds[i]);
	cleanup_fd_at(&line->program_fd);
	cleanup_fd_at(&line->carry_fd);
	netlink_close(line->netlink);
	free(line);
}

const char *delay_line_device(const struct delay_line *line)
{
	return line->name;
}

void delay_line_set(struct delay_line *line, const struct netem_config *effect)
{
	line->delay_ns = effect->delay_ns;
	for (unsigned i = 0; i < line->count; i++)
		delay_thread_set(line->threads[i], effect);
}

static void add_counters(const struct delay_thread *thread, struct delay_line_counters *sum)
{
	struct delay_thread_counters counters;

	delay_thread_counters(thread, &counters);
	sum->bulk += counters.bulk;
	sum->kept += counters.kept;
	sum->received += counters.received;
	sum->sent += counters.sent;
	sum->lost += counters.lost;
	netem_add_fates(&sum->fates, &counters.fates);
	sum->dropped_full += counters.dropped_full;
	sum->dropped_error += counters.dropped_error;
	sum->foreign += counters.foreign;
	sum->spared += counters.spared;
	sum->queued += counters.queued;
	sum->memory += counters.memory;
	sum->processor_ns += counters.processor_ns;
}

bool delay_line_may_hold(const struct delay_line *line)
{
	return line->may_hold && line->is_started;
}

/* TCP goes through the tap again when the queue gets longer than the kernel's can be. */
static void leave_crowd(struct delay_line *line)
{
	if (line->hold && delay_thread_is_crowded(line->threads[0]))
		delay_hold_shut(line->hold);
}

bool delay_line_wants_hold(struct delay_line *line)
{
	struct delay_line_counters counters = {0};
	int64_t now_ns = clock_now_ns(), passed_ns = now_ns - line->looked_ns;
	double bulk, packets;

	leave_crowd(line);
	if (!delay_line_may_hold(line) || passed_ns < LOOK_EVERY)
		return false;
	for (unsigned i = 0; i < line->count; i++)
		add_counters(line->threads[i], &counters);
	bulk = (double)(counters.bulk - line->looked_bulk) / (double)passed_ns;
	packets = (double)(counters.received - line->looked_packets) / (double)passed_ns;
	line->looked_ns = now_ns;
	line->looked_bulk = counters.bulk;
	line->looked_packets = counters.received;
	return bulk * NSEC_PER_SEC >= DELAY_LINE_HOLD_BYTES &&
	       packets * (double)line->delay_ns <= DELAY_LINE_HOLD_MANY;
}

/* sqRUN-STEPtN is the tap, sqRUN-STEPhN this. */
void delay_line_hold_name(const struct delay_line *line, char out[IFNAMSIZ])
{
	char *kind;

	memcpy(out, line->name, IFNAMSIZ);
	kind = strrchr(out, 't');
	*(kind ? kind : out) = 'h';
}

int delay_line_use_hold(struct delay_line *line, const char *alias, struct error *err)
{
	char name[IFNAMSIZ];
	const struct delay_hold_config config = {.netlink = line->netlink,
						 .tap_index = line->tap.index,
						 .name = name,
						 .alias = alias,
						 .return_fd = line->program_fd};
	int status;

	if (!delay_line_may_hold(line))
		return error_set(err, EOPNOTSUPP, "not with this effect or interface");
	line->may_hold = false;
	delay_line_hold_name(line, name);
	status = delay_hold_new(&config, &line->hold, err);
	if (status)
		return error_prefix(err, "the delay line keeps its packets itself");
	/* one thread, so that what is in order stays so */
	delay_thread_hold(line->threads[0], delay_hold_queue(line->hold));
	return delay_hold_open(line->hold, err);
}

bool delay_line_has_hold(const struct delay_line *line)
{
	return line->hold;
}

bool delay_line_is_empty(const struct delay_line *line)
{
	for (unsigned i = 0; i < line->count; i++)
		if (!delay_thread_is_empty(line->threads[i]))
			return false;
	return true;
}

bool delay_line_is_broken(const struct delay_line *line)
{
	for (unsigned i = 0; i < line->count; i++)
		if (delay_thread_is_broken(line->threads[i]))
			return true;
	return false;
}

void delay_line_counters(const struct delay_line *line, struct delay_line_counters *out)
{
	struct link link;

	*out = (struct delay_line_counters){0};
	for (unsigned i = 0; i < line->count; i++)
		add_counters(line->threads[i], out);
	if (line->is_started && !link_get(line->netlink, line->tap.index, &link, NULL))
		out->dropped_device = link.tx_dropped;
	if (line->hold) {
		uint64_t full, late;

		delay_hold_drops(line->hold, &full, &late);
		out->dropped_full += full;
		out->dropped_device += late;
	}
}

int64_t delay_line_processor_ns(const struct delay_line *line)
{
	struct delay_line_counters counters = {0};

	for (unsigned i = 0; i < line->count; i++)
		add_counters(line->threads[i], &counters);
	return counters.processor_ns;
}
