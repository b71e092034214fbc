/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The delay line on every kind of path: one-way delay of datagrams, in scope and beside it.
 */
#include "injector/base/clock.h"
#include "injector/kernel/tap.h"
#include "tests/support/delay_lab.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/capability.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define DELAY (20 * NSEC_PER_MSEC)
/* Early is never right. Late can be the fault of a machine that is busy with something else, so the
 * best of several is what must not be late. */
#define LATE  (5 * NSEC_PER_MSEC)
#define TRIES 10

static const struct netem_config no_effect;

struct path {
	int from_fd, to_fd; /* namespaces */
	const char *from, *to;
	size_t size;
};

/* Every probe must arrive, none too early. */
static void check_path(const struct path *path, int64_t expected_ns, const char *what)
{
	int from = lab_socket(path->from_fd, SOCK_DGRAM, path->from, 0);
	int to = lab_socket(path->to_fd, SOCK_DGRAM, path->to, 7000);
	struct lab_address address = lab_address(path->to, 7000);
	int64_t least = INT64_MAX, most = 0;

	lab_send(from, &address, 0, 64); /* finds the neighbour */
	assert_true(lab_receive(to, 3000, NULL) >= 0);
	for (unsigned i = 1; i <= TRIES; i++) {
		uint64_t number = 0;
		int64_t delay;

		lab_send(from, &address, i, path->size ? path->size : 64);
		delay = lab_receive(to, 2000, &number);
		if (delay < 0)
			fail_msg("%s: packet %u lost", what, i);
		assert_int_equal(number, i);
		least = delay < least ? delay : least;
		most = delay > most ? delay : most;
	}
	print_message("  %-32s %.3f .. %.3f ms\n", what, least / 1e6, most / 1e6);
	assert_true(least >= expected_ns);
	assert_true(least < expected_ns + LATE);
	close(from);
	close(to);
}

static void test_egress_ipv4_and_its_neighbour(void **state)
{
	struct lab *lab = *state;
	struct path in_scope = {lab->near_fd, lab->far_fd, "10.77.0.1", "10.77.0.2", 0};
	struct path beside = {lab->near_fd, lab->far_fd, "10.77.0.1", "10.77.0.3", 0};
	struct delay_line_counters counters;

	lab_start(lab, "sqdla", false, DELAY, 0);
	check_path(&in_scope, 0, "IPv4, no table yet");
	lab_forward(lab, "sqdla", false, "10.77.0.2");
	check_path(&in_scope, DELAY, "IPv4 egress");
	check_path(&beside, 0, "IPv4 egress, neighbour");
	delay_line_counters(lab->line, &counters);
	assert_int_equal(counters.received, 11);
	assert_int_equal(counters.sent, 11);
	assert_int_equal(counters.dropped_full + counters.dropped_error + counters.dropped_device,
			 0);
	assert_int_equal(counters.foreign, 0); /* the tap says nothing of its own */
	assert_true(counters.processor_ns > 0);
	assert_true(delay_line_is_empty(lab->line));
	lab_drop_table(lab);
	check_path(&in_scope, 0, "IPv4, table gone");
	delay_line_stop(lab->line);
	lab->line = NULL;
	assert_int_equal(lab_index(lab->near_fd, LAB_TAP), 0);
}

static void test_ingress_ipv4_and_its_neighbour(void **state)
{
	struct lab *lab = *state;
	struct path in_scope = {lab->far_fd, lab->near_fd, "10.77.0.2", "10.77.0.1", 0};
	struct path beside = {lab->far_fd, lab->near_fd, "10.77.0.3", "10.77.0.1", 0};

	lab_start(lab, "sqdla", true, DELAY, 0);
	lab_forward(lab, "sqdla", true, "10.77.0.2");
	check_path(&in_scope, DELAY, "IPv4 ingress");
	check_path(&beside, 0, "IPv4 ingress, neighbour");
}

static void test_egress_ipv6_and_its_neighbour(void **state)
{
	struct lab *lab = *state;
	struct path in_scope = {lab->near_fd, lab->far_fd, "fd77::1", "fd77::2", 0};
	struct path beside = {lab->near_fd, lab->far_fd, "fd77::1", "fd77::3", 0};

	lab_start(lab, "sqdla", false, DELAY, 0);
	lab_forward(lab, "sqdla", false, "fd77::2");
	check_path(&in_scope, DELAY, "IPv6 egress");
	check_path(&beside, 0, "IPv6 egress, neighbour");
}

static void test_ingress_ipv6(void **state)
{
	struct lab *lab = *state;
	struct path in_scope = {lab->far_fd, lab->near_fd, "fd77::2", "fd77::1", 0};

	lab_start(lab, "sqdla", true, DELAY, 0);
	lab_forward(lab, "sqdla", true, "fd77::2");
	check_path(&in_scope, DELAY, "IPv6 ingress");
}

static void test_loopback_ipv4(void **state)
{
	struct lab *lab = *state;
	struct path loopback = {lab->near_fd, lab->near_fd, "127.0.0.1", "127.0.0.1", 0};
	struct path largest = {lab->near_fd, lab->near_fd, "127.0.0.1", "127.0.0.1", 65507};
	struct path own = {lab->near_fd, lab->near_fd, "10.77.0.1", "10.77.0.1", 0};

	lab_start(lab, "lo", false, DELAY, 0);
	lab_forward_protocol(lab, "lo", false, IPPROTO_UDP);
	check_path(&loopback, DELAY, "127.0.0.1");
	check_path(&largest, DELAY, "127.0.0.1, 65507 bytes");
	check_path(&own, DELAY, "own address over lo");
}

static void test_loopback_ipv6(void **state)
{
	struct lab *lab = *state;
	struct path loopback = {lab->near_fd, lab->near_fd, "::1", "::1", 0};
	struct path largest = {lab->near_fd, lab->near_fd, "::1", "::1", 65487};

	lab_start(lab, "lo", false, DELAY, 0);
	lab_forward(lab, "lo", false, "::1");
	check_path(&loopback, DELAY, "::1");
	check_path(&largest, DELAY, "::1, 65487 bytes");
}

static int open_packet(void *device)
{
	struct sockaddr_ll address = {.sll_family = AF_PACKET,
				      .sll_protocol = htons(ETH_P_ALL),
				      .sll_ifindex = *(int *)device};
	int on = 1, fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_AUXDATA, &on, sizeof(on)), 0);
	assert_int_equal(setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &on, sizeof(on)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	return fd;
}

static int packet_socket(int namespace_fd, const char *device)
{
	int index = lab_index(namespace_fd, device);

	return lab_inside(namespace_fd, open_packet, &index);
}

/* A frame as it came, with the tag that the kernel has taken out of it. */
struct seen {
	unsigned char bytes[2048];
	ssize_t length;
	unsigned tag; /* 0: none */
};

static bool receive_frame(int fd, int timeout_ms, struct seen *out)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(struct tpacket_auxdata))];
	} control;
	struct iovec vector = {out->bytes, sizeof(out->bytes)};
	struct msghdr message = {.msg_iov = &vector,
				 .msg_iovlen = 1,
				 .msg_control = &control,
				 .msg_controllen = sizeof(control)};
	struct pollfd polled = {.fd = fd, .events = POLLIN};
	struct tpacket_auxdata data = {0};

	if (poll(&polled, 1, timeout_ms) <= 0)
		return false;
	out->length = recvmsg(fd, &message, 0);
	assert_true(out->length > 0);
	assert_non_null(CMSG_FIRSTHDR(&message));
	memcpy(&data, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(data));
	out->tag = data.tp_status & TP_STATUS_VLAN_VALID ? data.tp_vlan_tci : 0;
	return true;
}

/* Sends a tagged frame and returns when it was seen for the `sightings`th time; everything else on
 * the wire is looked past. */
static int64_t tagged_delay(int from, int to, unsigned char *frame, size_t length,
			    unsigned sightings)
{
	unsigned tag = (unsigned)frame[14] << 8 | frame[15];
	int64_t sent_ns = clock_now_ns(), until_ns = sent_ns + 2 * NSEC_PER_SEC;
	struct seen seen;

	assert_int_equal(send(from, frame, length, 0), length);
	while (clock_now_ns() < until_ns && receive_frame(to, 500, &seen)) {
		if (seen.length != (ssize_t)length - 4 || memcmp(seen.bytes, frame, 12))
			continue;
		assert_int_equal(seen.tag, tag);
		assert_memory_equal(seen.bytes + 12, frame + 16, length - 16);
		if (!--sightings)
			return clock_now_ns() - sent_ns;
	}
	fail_msg("a frame with tag %x is lost", tag);
	return -1;
}

static void check_vlan(struct lab *lab, bool is_ingress, bool is_tcp)
{
	int near = packet_socket(lab->near_fd, "sqdla"), far = packet_socket(lab->far_fd, "sqdlb");
	int from = is_ingress ? far : near, to = is_ingress ? near : far;
	unsigned char frame[200] = {[0] = 0x02, [5] = 1,     [6] = 0x02,
				    [11] = 2,	[12] = 0x81, [14] = 0x60 /* priority 3 */,
				    [15] = 5,	[16] = 0x88, [17] = 0xb5 /* local experimental */};

	for (unsigned i = 18; i < sizeof(frame); i++)
		frame[i] = i;
	if (is_tcp) { /* over IPv4, as far as a device looks at it */
		memcpy(frame + 16, (unsigned char[]){0x08, 0, 0x45, 0, 0, 182, 0, 1, 0, 0, 64, 6},
		       12);
		frame[18 + 20 + 12] = 0x50;
	}
	for (unsigned vlan = 5; vlan <= 6; vlan++) {
		/* a packet socket sees what arrives before the ingress hook, and again when it is
		 * put back */
		unsigned sightings = is_ingress && vlan == 5 ? 2 : 1;
		int64_t least = INT64_MAX;

		frame[15] = vlan;
		for (unsigned i = 0; i < TRIES; i++) {
			int64_t delay = tagged_delay(from, to, frame, sizeof(frame), sightings);

			least = delay < least ? delay : least;
		}
		print_message("  VLAN %u %-8s %.3f ms\n", vlan, is_ingress ? "ingress" : "egress",
			      least / 1e6);
		assert_true(vlan == 6 || least >= DELAY);
		assert_true(least < (vlan == 5 ? DELAY : 0) + LATE);
	}
	close(near);
	close(far);
}

static void test_vlan_tag_survives_egress(void **state)
{
	struct lab *lab = *state;

	lab_start(lab, "sqdla", false, DELAY, 0);
	lab_forward_vlan(lab, "sqdla", false, 5);
	check_vlan(lab, false, false);
}

static void test_vlan_tag_of_tcp_survives_egress(void **state)
{
	struct lab *lab = *state;

	lab_start(lab, "sqdla", false, DELAY, 0);
	lab_forward_vlan(lab, "sqdla", false, 5);
	check_vlan(lab, false, true);
}

static void test_vlan_tag_survives_ingress(void **state)
{
	struct lab *lab = *state;

	lab_start(lab, "sqdla", true, DELAY, 0);
	lab_forward_vlan(lab, "sqdla", true, 5);
	check_vlan(lab, true, false);
}

/* A device without link-layer header, as WireGuard or a VPN's tun: the test holds its far end. */
struct ip_device {
	int fd;
	struct tap tap;
};

static int make_ip_device(void *context)
{
	struct ip_device *device = context;

	assert_int_equal(tap_open(&device->fd, NULL), 0);
	return tap_create(&device->fd, 1, "sqdltun", TAP_IP, TAP_WHOLE, &device->tap, NULL);
}

static void test_device_without_link_layer_header(void **state)
{
	struct lab *lab = *state;
	struct lab_address address = lab_address("10.78.0.2", 7000);
	struct ip_device device;
	struct pollfd polled = {.events = POLLIN};
	unsigned char packet[2048];
	int64_t least = INT64_MAX;
	int near;

	assert_int_equal(lab_inside(lab->near_fd, make_ip_device, &device), 0);
	lab_command(lab->near_fd, "sysctl -qw net.ipv6.conf.sqdltun.disable_ipv6=1;"
				  "ip addr add 10.78.0.1/24 dev sqdltun; ip link set sqdltun up");
	near = lab_socket(lab->near_fd, SOCK_DGRAM, "10.78.0.1", 0);
	lab_start(lab, "sqdltun", false, DELAY, 0);
	lab_forward(lab, "sqdltun", false, "10.78.0.2");
	polled.fd = device.fd;
	for (unsigned i = 0; i < TRIES; i++) {
		int64_t sent_ns = clock_now_ns(), delay;

		lab_send(near, &address, i, 100);
		assert_int_equal(poll(&polled, 1, 2000), 1);
		delay = clock_now_ns() - sent_ns;
		least = delay < least ? delay : least;
		assert_int_equal(read(device.fd, packet, sizeof(packet)),
				 TAP_HEADER_SIZE + 28 + 100);
		assert_int_equal(packet[TAP_HEADER_SIZE], 0x45); /* begins with the IP header */
	}
	print_message("  without link-layer header %.3f ms\n", least / 1e6);
	assert_true(least >= DELAY && least < DELAY + LATE);
	close(near);
	close(device.fd);
}

/* The worker prepares with all it has and starts with little. Exit status of a child: 0 is good. */
static int start_with_few_capabilities(struct lab *lab)
{
	struct delay_line_config config = {
		.namespace_fd = lab->near_fd,
		.interface_index = lab_index(lab->near_fd, "sqdla"),
		.effect = &no_effect,
		.mark = LAB_MARK,
		.name = LAB_TAP,
	};
	struct error err = ERROR_INIT;
	cap_t few;

	if (delay_line_prepare(&config, &lab->line, &err))
		return 1;
	few = cap_from_text("cap_net_admin=ep");
	if (!few || cap_set_proc(few))
		return 2;
	cap_free(few);
	if (delay_line_start(lab->line, &err)) {
		print_message("  %s\n", err.text);
		return 3;
	}
	return 0;
}

static void test_start_needs_only_net_admin(void **state)
{
	struct lab *lab = *state;
	pid_t child = fork();
	int status;

	assert_true(child >= 0);
	if (!child)
		_exit(start_with_few_capabilities(lab));
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
}

static void test_name_in_use_is_an_error_and_harms_nothing(void **state)
{
	struct lab *lab = *state;
	struct error err = ERROR_INIT;
	struct delay_line_config config = {
		.namespace_fd = lab->near_fd,
		.interface_index = lab_index(lab->near_fd, "sqdla"),
		.effect = &no_effect,
		.mark = LAB_MARK,
		.name = LAB_TAP,
	};
	struct delay_line *second = NULL;

	lab_start(lab, "sqdla", false, DELAY, 0);
	assert_int_equal(delay_line_prepare(&config, &second, &err), 0);
	assert_int_equal(delay_line_start(second, &err), -EBUSY);
	assert_non_null(strstr(err.text, LAB_TAP));
	delay_line_stop(second);
	assert_true(lab_index(lab->near_fd, LAB_TAP) > 0);
	assert_false(delay_line_is_broken(lab->line));
}

int main(void)
{
#define HOLD(test)                                                                                 \
	{                                                                                          \
#test "_beside_tcp_kept_by_the_kernel", test, lab_setup_hold, lab_teardown, NULL   \
	}
	const struct CMUnitTest tests[] = {
		IN_LAB(test_egress_ipv4_and_its_neighbour),
		IN_LAB(test_ingress_ipv4_and_its_neighbour),
		IN_LAB(test_egress_ipv6_and_its_neighbour),
		IN_LAB(test_ingress_ipv6),
		IN_LAB(test_loopback_ipv4),
		IN_LAB(test_loopback_ipv6),
		IN_LAB(test_vlan_tag_survives_egress),
		IN_LAB(test_vlan_tag_of_tcp_survives_egress),
		IN_LAB(test_vlan_tag_survives_ingress),
		IN_LAB(test_device_without_link_layer_header),
		IN_LAB(test_start_needs_only_net_admin),
		IN_LAB(test_name_in_use_is_an_error_and_harms_nothing),
		HOLD(test_egress_ipv4_and_its_neighbour),
		HOLD(test_egress_ipv6_and_its_neighbour),
		HOLD(test_vlan_tag_survives_egress),
		HOLD(test_vlan_tag_of_tcp_survives_egress),
	};

	return cmocka_run_group_tests_name("delay line: paths", tests, NULL, NULL);
}
