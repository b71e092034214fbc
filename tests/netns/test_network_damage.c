/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Damage to what arrives: a receiver of TCP must see it by its checksum and get every byte right in
 * the end, though packets of a veth carry none that is finished, and cards vouch for theirs.
 */
#include "tests/support/netlab_ways.h"

#include "faults/network.h"

#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#define BYTES (2U << 20)
#define PORT  7200

static int setup_line(void **state)
{
	setenv("SQUALL_NETEM", "off", 1);
	return netlab_setup(state);
}

static int setup_netem(void **state)
{
	unsetenv("SQUALL_NETEM");
	return netlab_setup(state);
}

static unsigned char byte_at(size_t at)
{
	return (unsigned char)(at ^ at >> 8 ^ at >> 16);
}

static void *send_all(void *context)
{
	static unsigned char bytes[BYTES];
	const int *fd = context;

	for (size_t i = 0; i < BYTES; i++)
		bytes[i] = byte_at(i);
	for (size_t sent = 0; sent < BYTES;) {
		ssize_t size = send(*fd, bytes + sent, BYTES - sent, MSG_NOSIGNAL);

		if (size <= 0)
			break; /* then some are missing, and the test fails */
		sent += (size_t)size;
	}
	shutdown(*fd, SHUT_WR);
	return NULL;
}

/* From far to near. */
static void assert_arrives_intact(const struct netlab *lab)
{
	const struct timeval limit = {.tv_sec = 60};
	struct sockaddr_storage to;
	socklen_t length = netlab_address("10.88.0.1", PORT, &to);
	int listener = netlab_socket(lab->near_fd, AF_INET, SOCK_STREAM, 0, "10.88.0.1", PORT);
	int client = netlab_socket(lab->far_fd, AF_INET, SOCK_STREAM, 0, "10.88.0.2", 0), server;
	unsigned char chunk[16384];
	size_t received = 0;
	pthread_t sender;
	ssize_t size;

	assert_int_equal(listen(listener, 1), 0);
	setsockopt(client, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	assert_int_equal(connect(client, (const struct sockaddr *)&to, length), 0);
	server = accept(listener, NULL, NULL);
	assert_true(server >= 0);
	setsockopt(server, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	assert_int_equal(pthread_create(&sender, NULL, send_all, &client), 0);
	while ((size = recv(server, chunk, sizeof(chunk), 0)) > 0)
		for (ssize_t i = 0; i < size; i++)
			if (chunk[i] != byte_at(received++))
				fail_msg("byte %zu is wrong", received - 1);
	pthread_join(sender, NULL);
	assert_int_equal(received, BYTES);
	close(server);
	close(client);
	close(listener);
}

/* Segments that TCP of the near side threw away for their checksum. */
static unsigned long wrong_sums(const struct netlab *lab)
{
	char *text = netlab_output("ip netns exec %s grep ^Tcp: /proc/net/snmp", lab->near);
	char *names = text, *values = strchr(text, '\n') + 1, *name_rest, *value_rest;
	unsigned long count = 0;
	bool is_found = false;

	values[-1] = '\0';
	for (char *name = strtok_r(names, " ", &name_rest),
		  *value = strtok_r(values, " \n", &value_rest);
	     name && value;
	     name = strtok_r(NULL, " ", &name_rest), value = strtok_r(NULL, " \n", &value_rest))
		if (strcmp(name, "InCsumErrors") == 0) {
			count = strtoul(value, NULL, 10);
			is_found = true;
		}
	assert_true(is_found);
	free(text);
	return count;
}

static void assert_seen_by_tcp(struct netlab *lab, const char *way)
{
	struct netlab_fault fault;
	struct evidence evidence;
	struct error err = ERROR_INIT;
	unsigned long before = wrong_sums(lab), seen;

	if (netlab_fault_plan(lab, &fault, "aaaad7",
			      (const char *[]){"to", "10.88.0.2", "corrupt", "3%", "direction",
					       "ingress", "seed", "3", NULL},
			      &err) < 0)
		fail_msg("plan: %s", err.text);
	assert_non_null(strstr(fault.plan, way));
	if (network_fault.inject(&fault.fault, &err) < 0)
		fail_msg("inject: %s", err.text);
	assert_arrives_intact(lab);
	assert_int_equal(network_fault.evidence(&fault.fault, &evidence, &err), 0);
	netlab_fault_finish(&fault, FAULT_END_NOW);
	seen = wrong_sums(lab) - before;
	print_message("  %s; %lu wrong sums\n", evidence.detail, seen);
	/* of some 45; netem damages the linear part alone, half of which is not TCP's */
	assert_in_range(seen, 5, 150);
}

static void test_damage_of_what_arrives_is_seen_behind_a_delay_line(void **state)
{
	assert_seen_by_tcp(*state, "delay line");
}

static void test_damage_of_what_arrives_is_seen_behind_netem(void **state)
{
	netlab_need_way();
	assert_seen_by_tcp(*state, "ifb with netem");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			test_damage_of_what_arrives_is_seen_behind_a_delay_line, setup_line,
			netlab_teardown_ways),
		cmocka_unit_test_setup_teardown(test_damage_of_what_arrives_is_seen_behind_netem,
						setup_netem, netlab_teardown_ways),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
