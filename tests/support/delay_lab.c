/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/support/delay_lab.h"

#include "injector/base/clock.h"
#include "injector/kernel/namespace.h"
#include "injector/kernel/netlink.h"
#include "injector/kernel/nft_match.h"
#include "tests/support/kernel_version.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <linux/if_ether.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

struct call {
	int (*fn)(void *context);
	void *context;
};

static int call_plain(void *context, struct error *err)
{
	struct call *call = context;

	(void)err;
	return call->fn(call->context);
}

int lab_inside(int namespace_fd, int (*fn)(void *context), void *context)
{
	struct call call = {fn, context};

	return namespace_run(namespace_fd, call_plain, &call, NULL);
}

void lab_command(int namespace_fd, const char *line)
{
	int status;
	pid_t child = fork();

	assert_true(child >= 0);
	if (!child) {
		if (!setns(namespace_fd, CLONE_NEWNET))
			execl("/bin/sh", "sh", "-ec", line, (char *)NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	if (status)
		fail_msg("failed: %s", line);
}

static int index_of(void *name)
{
	return (int)if_nametoindex(name);
}

int lab_index(int namespace_fd, const char *device)
{
	char name[IFNAMSIZ];

	snprintf(name, sizeof(name), "%s", device);
	return lab_inside(namespace_fd, index_of, name);
}

static int new_namespace(void)
{
	int old = -1, fd = -1;

	assert_int_equal(namespace_open_self(&old, NULL), 0);
	assert_int_equal(unshare(CLONE_NEWNET), 0);
	assert_int_equal(namespace_open_self(&fd, NULL), 0);
	assert_int_equal(setns(old, CLONE_NEWNET), 0);
	close(old);
	return fd;
}

int lab_setup(void **state)
{
	struct lab *lab = calloc(1, sizeof(*lab));
	char line[256];

	assert_non_null(lab);
	lab->near_fd = new_namespace();
	lab->far_fd = new_namespace();
	snprintf(line, sizeof(line),
		 "ip link add sqdla type veth peer name sqdlb netns /proc/%d/fd/%d", getpid(),
		 lab->far_fd);
	lab_command(lab->near_fd, line);
	lab_command(lab->near_fd, "ip addr add 10.77.0.1/24 dev sqdla;"
				  "ip addr add fd77::1/64 dev sqdla nodad;"
				  "ip link set sqdla up; ip link set lo up;"
				  "sysctl -qw net.ipv4.conf.lo.route_localnet=1"
				  " net.ipv4.conf.lo.accept_local=1");
	lab_command(lab->far_fd, "ip addr add 10.77.0.2/24 dev sqdlb;"
				 "ip addr add 10.77.0.3/24 dev sqdlb;"
				 "ip addr add fd77::2/64 dev sqdlb nodad;"
				 "ip addr add fd77::3/64 dev sqdlb nodad;"
				 "ip link set sqdlb up; ip link set lo up");
	*state = lab;
	return 0;
}

int lab_setup_hold(void **state)
{
	int result = lab_setup(state);

	((struct lab *)*state)->holds = true;
	return result;
}

void lab_drop_table(struct lab *lab)
{
	netlink_close(lab->table);
	lab->table = NULL;
}

int lab_teardown(void **state)
{
	struct lab *lab = *state;

	lab_drop_table(lab);
	delay_line_stop(lab->line);
	close(lab->near_fd);
	close(lab->far_fd);
	free(lab);
	return 0;
}

void lab_start(struct lab *lab, const char *device, bool is_ingress, int64_t delay_ns,
	       int64_t jitter_ns)
{
	const struct netem_config effect = {.delay_ns = delay_ns, .jitter_ns = jitter_ns};
	struct error err = ERROR_INIT;
	struct delay_line_config config = {
		.namespace_fd = lab->near_fd,
		.interface_index = lab_index(lab->near_fd, device),
		.is_ingress = is_ingress,
		.is_loopback = !strcmp(device, "lo"),
		.effect = &effect,
		.only_delays = !jitter_ns,
		.mark = LAB_MARK,
		.threads = lab->threads,
		.name = LAB_TAP,
		.seed = 1,
	};

	if (delay_line_prepare(&config, &lab->line, &err))
		fail_msg("prepare: %s", err.text);
	assert_int_equal(lab_index(lab->near_fd, LAB_TAP), 0);
	if (delay_line_start(lab->line, &err))
		fail_msg("start: %s", err.text);
	assert_string_equal(delay_line_device(lab->line), LAB_TAP);
	assert_true(lab_index(lab->near_fd, LAB_TAP) > 0);
	if (!lab->holds || config.is_loopback || is_ingress || jitter_ns)
		return;
	if (delay_line_use_hold(lab->line, "", &err)) {
		/* then it must do as well as before */
		if (KERNEL_CAN_HOLD)
			fail_msg("%s", err.text);
		assert_int_equal(lab_index(lab->near_fd, LAB_VETH), 0);
		return;
	}
	assert_true(delay_line_has_hold(lab->line));
	assert_true(lab_index(lab->near_fd, LAB_VETH) > 0);
}

void lab_set(struct lab *lab, int64_t delay_ns, int64_t jitter_ns)
{
	const struct netem_config effect = {.delay_ns = delay_ns, .jitter_ns = jitter_ns};

	delay_line_set(lab->line, &effect);
}

static void begin_table(struct lab *lab, struct nft_batch *batch, const char *device,
			bool is_ingress)
{
	struct error err = ERROR_INIT;

	if (netlink_open_netfilter(lab->near_fd, &lab->table, &err))
		fail_msg("%s", err.text);
	nft_batch_begin(batch);
	nft_add_table(batch, NFPROTO_NETDEV, "sqdl", NULL);
	nft_add_hook_chain(batch, &(struct nft_hook_chain){.name = "c",
							   .hook = is_ingress ? NF_NETDEV_INGRESS
									      : NF_NETDEV_EGRESS,
							   .priority = 2147483647,
							   .device = device});
	nft_rule_begin(batch, "c");
	nft_match_mark(batch, UINT32_MAX, LAB_MARK);
	nft_set_mark(batch, UINT32_MAX, 0);
	nft_verdict(batch, NF_ACCEPT);
	nft_rule_end(batch, "back");
	nft_rule_begin(batch, "c");
}

static void end_table(struct lab *lab, struct nft_batch *batch)
{
	struct error err = ERROR_INIT;

	nft_forward(batch, lab_index(lab->near_fd, LAB_TAP));
	nft_rule_end(batch, "to the line");
	if (nft_commit(lab->table, batch, &err))
		fail_msg("%s", err.text);
}

void lab_forward(struct lab *lab, const char *device, bool is_ingress, const char *peer)
{
	struct nft_batch batch;
	int family = strchr(peer, ':') ? AF_INET6 : AF_INET;
	uint8_t address[16];

	assert_int_equal(inet_pton(family, peer, address), 1);
	begin_table(lab, &batch, device, is_ingress);
	nft_match_address(&batch, family, is_ingress ? NFT_SOURCE : NFT_DESTINATION, address);
	end_table(lab, &batch);
}

void lab_forward_protocol(struct lab *lab, const char *device, bool is_ingress, uint8_t protocol)
{
	struct nft_batch batch;

	begin_table(lab, &batch, device, is_ingress);
	nft_match_protocols(&batch, &protocol, 1);
	end_table(lab, &batch);
}

void lab_forward_vlan(struct lab *lab, const char *device, bool is_ingress, uint16_t vlan)
{
	const uint16_t type = htons(ETH_P_8021Q), tag = htons(vlan), id = htons(0xfff), nothing = 0;
	struct nft_batch batch;

	begin_table(lab, &batch, device, is_ingress);
	nft_load_payload(&batch, 0, NFT_PAYLOAD_LL_HEADER, 12, sizeof(type));
	nft_compare(&batch, 0, NFT_CMP_EQ, &type, sizeof(type));
	nft_load_payload(&batch, 0, NFT_PAYLOAD_LL_HEADER, 14, sizeof(tag));
	nft_mask(&batch, 0, &id, &nothing, sizeof(id));
	nft_compare(&batch, 0, NFT_CMP_EQ, &tag, sizeof(tag));
	end_table(lab, &batch);
}

struct lab_address lab_address(const char *text, uint16_t port)
{
	struct lab_address address = {.length = sizeof(struct sockaddr_in6)};
	struct sockaddr_in6 *v6 = (void *)&address.storage;
	struct sockaddr_in *v4 = (void *)&address.storage;

	if (strchr(text, ':')) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
		assert_int_equal(inet_pton(AF_INET6, text, &v6->sin6_addr), 1);
	} else {
		address.length = sizeof(*v4);
		v4->sin_family = AF_INET;
		v4->sin_port = htons(port);
		assert_int_equal(inet_pton(AF_INET, text, &v4->sin_addr), 1);
	}
	return address;
}

struct socket_call {
	struct lab_address address;
	int type;
};

static int open_bound(void *context)
{
	struct socket_call *call = context;
	int on = 1, large = 256 << 20;
	int fd = socket(call->address.storage.ss_family, call->type | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (call->type == SOCK_DGRAM) {
		setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &large, sizeof(large));
		setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &large, sizeof(large));
	}
	if (bind(fd, (struct sockaddr *)&call->address.storage, call->address.length))
		fail_msg("bind: %s", strerror(errno));
	return fd;
}

int lab_socket(int namespace_fd, int type, const char *address, uint16_t port)
{
	struct socket_call call = {lab_address(address, port), type};

	return lab_inside(namespace_fd, open_bound, &call);
}

struct probe {
	uint64_t number;
	int64_t sent_ns;
};

void lab_send(int fd, const struct lab_address *to, uint64_t number, size_t size)
{
	static unsigned char datagram[65536];
	struct probe probe = {number, clock_now_ns()};

	memcpy(datagram, &probe, sizeof(probe));
	if (sendto(fd, datagram, size, 0, (const struct sockaddr *)&to->storage, to->length) !=
	    (ssize_t)size)
		fail_msg("send of %zu bytes: %s", size, strerror(errno));
}

int64_t lab_receive(int fd, int timeout_ms, uint64_t *out_number)
{
	struct pollfd polled = {.fd = fd, .events = POLLIN};
	struct probe probe;

	if (poll(&polled, 1, timeout_ms) <= 0)
		return -1;
	assert_int_equal(recv(fd, &probe, sizeof(probe), 0), sizeof(probe));
	if (out_number)
		*out_number = probe.number;
	return clock_now_ns() - probe.sent_ns;
}

void lab_sleep(int64_t ns)
{
	struct timespec time = {.tv_sec = ns / NSEC_PER_SEC, .tv_nsec = ns % NSEC_PER_SEC};

	nanosleep(&time, NULL);
}

bool lab_wait_until_empty(const struct lab *lab, int64_t timeout_ns)
{
	int64_t until_ns = clock_now_ns() + timeout_ns;

	while (!delay_line_is_empty(lab->line)) {
		if (clock_now_ns() > until_ns)
			return false;
		lab_sleep(NSEC_PER_MSEC);
	}
	return true;
}
