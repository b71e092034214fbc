/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Datagrams that leave the delay line together are handed to the kernel as one packet. Whoever gets
 * them must not notice: on a wire, and in a socket, they are what was sent.
 */
#include "injector/base/clock.h"
#include "injector/kernel/tap.h"
#include "tests/support/delay_lab.h"

#include <arpa/inet.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define DELAY (20 * NSEC_PER_MSEC)
#define COUNT 60
#define SIZE  100

struct device {
	enum tap_offload offload;
	int fd;
	struct tap tap;
};

static int make_device(void *context)
{
	struct device *device = context;

	assert_int_equal(tap_open(&device->fd, NULL), 0);
	return tap_create(&device->fd, 1, "sqdltun", TAP_IP, device->offload, &device->tap, NULL);
}

static size_t size_of(unsigned i)
{
	return i % 20 == 19 ? SIZE / 2 + i : SIZE; /* a shorter one ends a packet */
}

static void send_burst(int fd)
{
	for (unsigned i = 0; i < COUNT; i++) {
		unsigned char bytes[SIZE * 2];

		memset(bytes, (int)i + 1, sizeof(bytes));
		assert_int_equal(send(fd, bytes, size_of(i), 0), (ssize_t)size_of(i));
	}
}

static void start(struct lab *lab, struct device *device, int *out_sender)
{
	struct lab_address address = lab_address("10.78.0.2", 7000);

	assert_int_equal(lab_inside(lab->near_fd, make_device, device), 0);
	lab_command(lab->near_fd, "sysctl -qw net.ipv6.conf.sqdltun.disable_ipv6=1;"
				  "ip addr add 10.78.0.1/24 dev sqdltun; ip link set sqdltun up");
	*out_sender = lab_socket(lab->near_fd, SOCK_DGRAM, "10.78.0.1", 0);
	assert_int_equal(connect(*out_sender, (struct sockaddr *)&address.storage, address.length),
			 0);
	lab_start(lab, "sqdltun", false, DELAY, 0);
	lab_forward(lab, "sqdltun", false, "10.78.0.2");
}

static size_t read_packet(const struct device *device, unsigned char *packet, size_t room)
{
	struct pollfd polled = {.fd = device->fd, .events = POLLIN};
	ssize_t length;

	assert_int_equal(poll(&polled, 1, 5000), 1);
	length = read(device->fd, packet, room);
	assert_true(length > TAP_HEADER_SIZE + 28);
	return (size_t)length;
}

static uint16_t word(const unsigned char *at)
{
	return (uint16_t)(at[0] << 8 | at[1]);
}

static uint32_t sum(const unsigned char *from, size_t size, uint32_t value)
{
	for (size_t i = 0; i < size; i++)
		value += (uint32_t)from[i] << (i & 1 ? 0 : 8);
	while (value >> 16)
		value = (value & 0xffff) + (value >> 16);
	return value;
}

static void test_on_a_wire_each_datagram_is_what_was_sent(void **state)
{
	struct lab *lab = *state;
	struct device device = {.offload = TAP_FINISHED};
	unsigned char packet[4096];
	uint16_t first_id = 0;
	int sender;

	start(lab, &device, &sender);
	send_burst(sender);
	for (unsigned i = 0; i < COUNT; i++) {
		size_t length = read_packet(&device, packet, sizeof(packet)) - TAP_HEADER_SIZE;
		const unsigned char *ip = packet + TAP_HEADER_SIZE, *udp = ip + 20;

		assert_int_equal(length, 28 + size_of(i));
		assert_int_equal(word(ip + 2), length);
		first_id = i ? first_id : word(ip + 4);
		assert_int_equal(word(ip + 4), (uint16_t)(first_id + i));
		assert_int_equal(sum(ip, 20, 0), 0xffff);
		assert_int_equal(word(udp + 4), length - 20);
		assert_int_equal(
			sum(udp, length - 20, sum(ip + 12, 8, IPPROTO_UDP + (uint32_t)length - 20)),
			0xffff);
		for (size_t at = 8; at < length - 20; at++)
			assert_int_equal(udp[at], i + 1);
	}
	close(sender);
	close(device.fd);
}

static void test_many_datagrams_leave_as_one_packet(void **state)
{
	struct lab *lab = *state;
	struct device device = {.offload = TAP_WHOLE};
	static unsigned char packet[TAP_HEADER_SIZE + TAP_FRAME_MAX];
	struct delay_line_counters counters;
	unsigned packets = 0, datagrams = 0;
	int sender;

	start(lab, &device, &sender);
	for (unsigned tries = 0; tries < 5 && packets == datagrams; tries++) {
		packets = datagrams = 0;
		send_burst(sender);
		while (datagrams < COUNT) {
			size_t length = read_packet(&device, packet, sizeof(packet));
			struct virtio_net_hdr header;

			memcpy(&header, packet, sizeof(header));
			length -= TAP_HEADER_SIZE + 28;
			datagrams += header.gso_size
					     ? (length + header.gso_size - 1) / header.gso_size
					     : 1;
			packets++;
		}
		assert_int_equal(datagrams, COUNT);
		if (!device.tap.has_udp_segmentation)
			break;
	}
	print_message("  %u datagrams in %u packets\n", datagrams, packets);
	if (device.tap.has_udp_segmentation)
		assert_true(packets < datagrams);
	else
		assert_int_equal(packets, datagrams);
	delay_line_counters(lab->line, &counters);
	assert_int_equal(counters.sent, counters.received);
	close(sender);
	close(device.fd);
}

static void check_socket(struct lab *lab, const char *from_address, const char *to_address)
{
	int from = lab_socket(lab->near_fd, SOCK_DGRAM, from_address, 0);
	int to = lab_socket(lab->far_fd, SOCK_DGRAM, to_address, 7000);
	struct lab_address address = lab_address(to_address, 7000);
	struct timeval patience = {.tv_sec = 5};
	unsigned char bytes[SIZE * 4];

	assert_int_equal(connect(from, (struct sockaddr *)&address.storage, address.length), 0);
	assert_int_equal(setsockopt(to, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	lab_start(lab, "sqdla", false, DELAY, 0);
	lab_forward(lab, "sqdla", false, to_address);
	send_burst(from);
	for (unsigned i = 0; i < COUNT; i++) {
		ssize_t length = recv(to, bytes, sizeof(bytes), 0);

		assert_int_equal(length, (ssize_t)size_of(i));
		for (ssize_t at = 0; at < length; at++)
			assert_int_equal(bytes[at], i + 1);
	}
	close(from);
	close(to);
}

static void test_a_socket_receives_each_datagram_in_order(void **state)
{
	check_socket(*state, "10.77.0.1", "10.77.0.2");
}

static void test_a_socket_receives_each_datagram_in_order_over_ipv6(void **state)
{
	check_socket(*state, "fd77::1", "fd77::2");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		IN_LAB(test_on_a_wire_each_datagram_is_what_was_sent),
		IN_LAB(test_many_datagrams_leave_as_one_packet),
		IN_LAB(test_a_socket_receives_each_datagram_in_order),
		IN_LAB(test_a_socket_receives_each_datagram_in_order_over_ipv6),
	};

	return cmocka_run_group_tests_name("delay line: merging", tests, NULL, NULL);
}
