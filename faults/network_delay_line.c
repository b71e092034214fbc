/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * See network_delay_line.h. What is needed later is opened while privileges are wide; the thread
 * that moves the packets is delay_thread.c.
 */
#include "faults/network_delay_line.h"

#include "faults/delay_return.h"
#include "faults/delay_thread.h"
#include "injector/base/cleanup.h"
#include "injector/kernel/link.h"
#include "injector/kernel/namespace.h"
#include "injector/kernel/netlink.h"
#include "injector/kernel/qdisc.h"
#include "injector/kernel/tap.h"

#include <errno.h>
#include <string.h>

struct delay_line {
	int tap_fd, program_fd, ipv6_fd;
	struct netlink *netlink; /* in the interface's namespace */
	char name[IFNAMSIZ];
	struct tap tap;
	struct delay_thread *thread;
	bool is_started;
};

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
	status = tap_open(&line->tap_fd, err);
	return status ? status : tap_open_ipv6(&line->ipv6_fd, err);
}

static int check_config(const struct delay_line_config *config, struct error *err)
{
	if (!config->effect || config->effect->delay_ns < 0 || config->effect->jitter_ns < 0 ||
	    !config->mark || config->interface_index <= 0 || strlen(config->name) >= IFNAMSIZ)
		return error_set(err, EINVAL, "delay line '%s': delay, jitter, mark, or interface",
				 config->name);
	if (config->is_loopback && config->is_ingress)
		return error_set(err, EINVAL,
				 "delay line '%s': packets on lo are delayed at egress only",
				 config->name);
	return 0;
}

int delay_line_prepare(const struct delay_line_config *config, struct delay_line **out,
		       struct error *err)
{
	const bool to_ingress = config->is_ingress != config->refusal.is_on;
	struct delay_line *line;
	struct inside inside;
	int status = check_config(config, err);

	if (status)
		return status;
	line = calloc(1, sizeof(*line));
	if (!line)
		return error_errno(err, ENOMEM, "delay line");
	line->tap_fd = line->program_fd = line->ipv6_fd = -1;
	memcpy(line->name, config->name, strlen(config->name));
	inside = (struct inside){line, config->interface_index};
	status = delay_thread_new(DELAY_LINE_BYTES, config->seed, &line->thread, err);
	if (!status)
		status = namespace_run(config->namespace_fd, open_inside, &inside, err);
	if (!status)
		status = delay_return_load(config->reenters ? 0 : config->interface_index,
					   to_ingress,
					   to_ingress || config->marks_leaving ? config->mark : 0,
					   &line->program_fd, err);
	if (status) {
		delay_line_stop(line);
		return error_prefix(err, "delay line");
	}
	line->tap.offload = !config->cuts_to_wire	 ? TAP_WHOLE
			    : config->finishes_checksums ? TAP_FINISHED
							 : TAP_CUT;
	delay_thread_refuse(line->thread, &config->refusal);
	delay_line_set(line, config->effect);
	*out = line;
	return 0;
}

int delay_line_start(struct delay_line *line, struct error *err)
{
	const struct bpf_filter way_back = {.hook = QDISC_INGRESS,
					    .priority = 1,
					    .program_fd = line->program_fd,
					    .name = "squall_delay_return"};
	int status = tap_create(line->tap_fd, line->name, line->tap.kind, line->tap.offload,
				&line->tap, err);

	if (!status)
		status = tap_configure(&line->tap, line->netlink, line->ipv6_fd, err);
	if (!status)
		status = qdisc_add_clsact(line->netlink, line->tap.index, err);
	if (!status)
		status = filter_add_bpf(line->netlink, line->tap.index, &way_back, err);
	if (!status)
		status = tap_bring_up(&line->tap, line->netlink, err);
	if (!status)
		status = delay_thread_start(line->thread, line->tap_fd, &line->tap, err);
	if (status)
		return error_prefix(err, "delay line");
	line->is_started = true;
	return 0;
}

void delay_line_stop(struct delay_line *line)
{
	if (!line)
		return;
	delay_thread_free(line->thread);
	cleanup_fd_at(&line->tap_fd);
	cleanup_fd_at(&line->program_fd);
	cleanup_fd_at(&line->ipv6_fd);
	netlink_close(line->netlink);
	free(line);
}

const char *delay_line_device(const struct delay_line *line)
{
	return line->name;
}

void delay_line_set(struct delay_line *line, const struct netem_config *effect)
{
	delay_thread_set(line->thread, effect);
}

bool delay_line_is_empty(const struct delay_line *line)
{
	return delay_thread_is_empty(line->thread);
}

bool delay_line_is_broken(const struct delay_line *line)
{
	return delay_thread_is_broken(line->thread);
}

void delay_line_counters(const struct delay_line *line, struct delay_line_counters *out)
{
	struct delay_thread_counters counters;
	struct link link;

	delay_thread_counters(line->thread, &counters);
	*out = (struct delay_line_counters){
		.received = counters.received,
		.sent = counters.sent,
		.lost = counters.lost,
		.marked = counters.marked,
		.duplicated = counters.duplicated,
		.corrupted = counters.corrupted,
		.dropped_full = counters.dropped_full,
		.dropped_error = counters.dropped_error,
		.foreign = counters.foreign,
		.queued = counters.queued,
		.memory = counters.memory,
		.processor_ns = counters.processor_ns,
	};
	if (line->is_started && !link_get(line->netlink, line->tap.index, &link, NULL))
		out->dropped_device = link.tx_dropped;
}
