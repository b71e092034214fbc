/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The dns fault on real queries to a real server: the effect on the chosen names, none on their
 * neighbours, and everything as before when it has ended, was killed, or could not begin.
 */
#include "tests/support/dns_server.h"
#include "tests/support/squall_runner.h"

#include "faults/dns.h"
#include "injector/base/clock.h"

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define LOST_MS 300
#define REFUSED 5

static const char *const servers[] = {"10.88.0.2", "fd88::2"};

static int setup(void **state)
{
	netlab_setup(state);
	dns_servers_start(*state);
	return 0;
}

static int teardown(void **state)
{
	dns_servers_stop();
	return netlab_teardown(state);
}

static void start(struct netlab *lab, struct netlab_fault *fault, const char *const *settings)
{
	struct error err = ERROR_INIT;

	if (netlab_fault_plan(lab, fault, "ddddd1", settings, &err) < 0 ||
	    dns_fault.inject(&fault->fault, &err) < 0)
		fail_msg("%s", err.text);
}

#define START(lab, fault, ...)                                                                     \
	start(lab, fault, (const char *[]){"fault", "dns", __VA_ARGS__, NULL})

static struct evidence evidence_of(struct netlab_fault *fault)
{
	struct evidence seen = {0};
	struct error err = ERROR_INIT;

	if (dns_fault.evidence(&fault->fault, &seen, &err) < 0)
		fail_msg("%s", err.text);
	return seen;
}

/* The server's own answer. */
static void assert_served(const struct netlab *lab, const struct dns_ask *ask)
{
	struct dns_reply reply = dns_ask(lab, ask);

	if (reply.rcode != 0 || reply.answers != 1)
		fail_msg("%s at %s%s: rcode %d, %u answers", ask->name,
			 ask->server ? ask->server : "10.88.0.2", ask->over_tcp ? " (tcp)" : "",
			 reply.rcode, reply.answers);
	assert_string_equal(reply.address,
			    ask->type == DNS_TYPE_AAAA ? "2001:db8::1" : "192.0.2.1");
}

#define ASSERT_SERVED(lab, ...) assert_served(lab, &(struct dns_ask){__VA_ARGS__})

static void test_a_name_does_not_exist_over_both_protocols_and_families(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	char *before = netlab_dump(lab);

	START(lab, &fault, "to", "10.88.0.2", "to", "fd88::2", "name", "gone.test", "answer",
	      "nxdomain");
	for (unsigned i = 0; i < 2; i++)
		for (int tcp = 0; tcp < 2; tcp++) {
			struct dns_reply reply = DNS_ASK(lab, .server = servers[i],
							 .name = "GoNe.TeSt", .over_tcp = tcp);

			assert_int_equal(reply.rcode, DNS_NXDOMAIN);
			assert_int_equal(reply.answers, 0);
			ASSERT_SERVED(lab, .server = servers[i], .name = "Here.test",
				      .over_tcp = tcp);
			ASSERT_SERVED(lab, .server = servers[i], .name = "www.gone.test",
				      .over_tcp = tcp, .type = DNS_TYPE_AAAA);
		}
	/* the server next to it was not named */
	ASSERT_SERVED(lab, .server = "10.88.0.3", .name = "gone.test");
	assert_int_equal(evidence_of(&fault).hits, 4);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	for (int tcp = 0; tcp < 2; tcp++)
		ASSERT_SERVED(lab, .name = "gone.test", .over_tcp = tcp);
	netlab_same(lab, before);
}

static void test_every_answer(void **state)
{
	static const struct {
		const char *word;
		int rcode;
	} cases[] = {{"servfail", DNS_SERVFAIL},
		     {"refused", DNS_REFUSED},
		     {"empty", DNS_NOERROR},
		     {"drop", -1}};
	struct netlab *lab = *state;
	struct netlab_fault fault;

	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		START(lab, &fault, "to", "10.88.0.2", "domain", "bad.test.", "answer",
		      cases[i].word);
		for (int tcp = 0; tcp < 2; tcp++) {
			struct dns_reply reply = DNS_ASK(lab, .name = "a.b.bad.test",
							 .timeout_ms = LOST_MS, .over_tcp = tcp);

			assert_int_equal(reply.rcode, cases[i].rcode);
			assert_int_equal(reply.answers, 0);
			ASSERT_SERVED(lab, .name = "notbad.test", .over_tcp = tcp);
		}
		netlab_fault_finish(&fault, FAULT_END_NOW);
	}
}

static void test_a_wrong_address(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct dns_reply reply;

	START(lab, &fault, "to", "10.88.0.2", "pattern", "^db[0-9]+\\.test$", "answer", "address",
	      "address", "198.51.100.7", "address", "198.51.100.8", "address", "2001:db8::bad");
	reply = DNS_ASK(lab, .name = "db1.test");
	assert_int_equal(reply.answers, 2);
	assert_string_equal(reply.address, "198.51.100.7");
	reply = DNS_ASK(lab, .name = "db22.test", .type = DNS_TYPE_AAAA, .over_tcp = true);
	assert_int_equal(reply.answers, 1);
	assert_string_equal(reply.address, "2001:db8::bad");
	reply = DNS_ASK(lab, .name = "db1.test", .type = DNS_TYPE_HTTPS);
	assert_int_equal(reply.rcode, 0);
	assert_int_equal(reply.answers, 0);
	ASSERT_SERVED(lab, .name = "dbx.test");
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

static void test_a_delay_holds_the_chosen_and_nobody_else(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	START(lab, &fault, "to", "10.88.0.2", "domain", "slow.test", "delay", "300ms");
	for (int tcp = 0; tcp < 2; tcp++) {
		struct dns_reply slow = DNS_ASK(lab, .name = "slow.test", .over_tcp = tcp),
				 fast = DNS_ASK(lab, .name = "fast.test", .over_tcp = tcp);

		assert_int_equal(slow.rcode, 0);
		assert_string_equal(slow.address, "192.0.2.1");
		assert_true(slow.took_ns >= 300 * NSEC_PER_MSEC);
		assert_int_equal(fast.rcode, 0);
		assert_true(fast.took_ns < 300 * NSEC_PER_MSEC);
	}
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

/* RFC 7766: several at a time on one connection; what is quick comes first. */
static void test_queries_on_one_tcp_connection_do_not_wait_for_one_another(void **state)
{
	static const char *const names[] = {"slow.test", "one.test", "gone.slow.test", "two.test"};
	struct netlab *lab = *state;
	uint8_t bytes[2048], ids[4];
	struct netlab_fault fault;
	size_t used = 0, got = 0;
	int fd;

	START(lab, &fault, "to", "10.88.0.2", "name", "slow.test", "delay", "400ms");
	fd = dns_socket(lab, "10.88.0.2", 53, SOCK_STREAM);
	for (unsigned i = 0; i < 4; i++) {
		size_t size = dns_query(names[i], DNS_TYPE_A, (uint16_t)(i + 1), bytes + used + 2);

		bytes[used] = 0;
		bytes[used + 1] = (uint8_t)size;
		used += size + 2;
	}
	/* in pieces that end anywhere */
	for (size_t at = 0; at < used; at += 7) {
		size_t piece = used - at < 7 ? used - at : 7;

		assert_int_equal(send(fd, bytes + at, piece, 0), piece);
		poll(NULL, 0, 2);
	}
	for (unsigned i = 0; i < 4; i++) {
		size_t size;

		assert_int_equal(recv(fd, bytes, 2, MSG_WAITALL), 2);
		size = (size_t)bytes[0] << 8 | bytes[1];
		assert_int_equal(recv(fd, bytes, size, MSG_WAITALL), size);
		assert_int_equal(bytes[3] & 15, 0);
		ids[got++] = bytes[1];
	}
	assert_int_equal(ids[3], 1); /* the one that was held */
	close(fd);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

static void test_a_socket_that_is_older_than_the_fault_is_met_and_let_go(void **state)
{
	struct netlab *lab = *state;
	int fd = dns_socket(lab, "10.88.0.2", 53, SOCK_DGRAM);
	struct netlab_fault fault;

	ASSERT_SERVED(lab, .name = "gone.test", .fd = fd);
	START(lab, &fault, "to", "*", "name", "gone.test", "answer", "nxdomain", "interface",
	      "sqv0");
	assert_int_equal(DNS_ASK(lab, .name = "gone.test", .fd = fd).rcode, DNS_NXDOMAIN);
	ASSERT_SERVED(lab, .name = "here.test", .fd = fd);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	/* at once, and on the same socket */
	ASSERT_SERVED(lab, .name = "gone.test", .fd = fd);
	close(fd);
}

static void test_a_resolver_on_this_machine_is_a_server_like_any_other(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;

	START(lab, &fault, "to", "127.0.0.53", "name", "gone.test", "answer", "nxdomain");
	for (int tcp = 0; tcp < 2; tcp++) {
		assert_int_equal(
			DNS_ASK(lab, .server = "127.0.0.53", .name = "gone.test", .over_tcp = tcp)
				.rcode,
			DNS_NXDOMAIN);
		ASSERT_SERVED(lab, .server = "127.0.0.53", .name = "here.test", .over_tcp = tcp);
		ASSERT_SERVED(lab, .name = "gone.test", .over_tcp = tcp);
	}
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

/* dnsmasq asks all its servers from one port; each must be answered by the one that was asked. */
static void test_several_servers_asked_from_one_port(void **state)
{
	static const char *const asked[] = {"10.88.0.2", "10.88.0.3"};
	struct netlab *lab = *state;
	int fd = dns_socket(lab, asked[0], 53, SOCK_DGRAM);
	struct sockaddr_in to, from;
	struct sockaddr none = {.sa_family = AF_UNSPEC};
	socklen_t length = sizeof(to);
	struct netlab_fault fault;
	uint8_t bytes[512];
	unsigned answered = 0;

	assert_int_equal(getpeername(fd, (void *)&to, &length), 0);
	assert_int_equal(connect(fd, &none, sizeof(none)), 0);
	START(lab, &fault, "to", "10.88.0.0/24", "name", "x.test", "answer", "servfail");
	for (unsigned i = 0; i < 2; i++) {
		size_t size = dns_query("here.test", DNS_TYPE_A, (uint16_t)(i + 1), bytes);

		to.sin_addr.s_addr = htonl(0x0a580002 + i);
		assert_int_equal(sendto(fd, bytes, size, 0, (void *)&to, sizeof(to)), size);
	}
	for (unsigned i = 0; i < 2; i++) {
		struct pollfd polled = {.fd = fd, .events = POLLIN};

		length = sizeof(from);
		assert_int_equal(poll(&polled, 1, 3000), 1);
		assert_true(recvfrom(fd, bytes, sizeof(bytes), 0, (void *)&from, &length) > 12);
		assert_int_equal(ntohl(from.sin_addr.s_addr), 0x0a580002 + bytes[1] - 1);
		assert_int_equal(ntohs(from.sin_port), 53);
		answered |= 1U << bytes[1];
	}
	assert_int_equal(answered, 6);
	close(fd);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

static void test_two_faults_add_up(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault first, second;
	struct error err = ERROR_INIT;

	START(lab, &first, "to", "10.88.0.2", "name", "one.test", "answer", "nxdomain");
	if (netlab_fault_plan_step(lab, &second, &first, 1,
				   (const char *[]){"fault", "dns", "to", "10.88.0.2", "name",
						    "two.test", "answer", "refused", NULL},
				   &err) < 0 ||
	    dns_fault.inject(&second.fault, &err) < 0)
		fail_msg("%s", err.text);
	for (int tcp = 0; tcp < 2; tcp++) {
		assert_int_equal(DNS_ASK(lab, .name = "one.test", .over_tcp = tcp).rcode,
				 DNS_NXDOMAIN);
		assert_int_equal(DNS_ASK(lab, .name = "two.test", .over_tcp = tcp).rcode, REFUSED);
		ASSERT_SERVED(lab, .name = "three.test", .over_tcp = tcp);
	}
	/* the older one ends, the newer one stays */
	netlab_fault_end(&first, FAULT_END_SOFT);
	netlab_undo_step(first.run_id, 0);
	ASSERT_SERVED(lab, .name = "one.test");
	assert_int_equal(DNS_ASK(lab, .name = "two.test").rcode, REFUSED);
	second.journal = NULL;
	netlab_fault_end(&second, FAULT_END_SOFT);
	netlab_fault_finish(&second, FAULT_END_SOFT);
	netlab_fault_finish(&first, FAULT_END_SOFT);
	ASSERT_SERVED(lab, .name = "two.test");
}

static void test_what_is_no_query_passes_as_it_is(void **state)
{
	struct netlab *lab = *state;
	int fd = dns_socket(lab, "10.88.0.2", NETLAB_PORT, SOCK_DGRAM);
	uint8_t bytes[1200], back[1500];
	struct netlab_fault fault;

	/* the echo of the lab gives back what it gets */
	START(lab, &fault, "to", "10.88.0.2:7001", "name", "*", "answer", "drop");
	for (size_t size = 8; size < sizeof(bytes); size += 149) {
		struct pollfd polled = {.fd = fd, .events = POLLIN};

		for (size_t i = 0; i < size; i++)
			bytes[i] = (uint8_t)(i * 37 + size);
		bytes[2] |= 0x80; /* an answer, if anything */
		assert_int_equal(send(fd, bytes, size, 0), size);
		assert_int_equal(poll(&polled, 1, 3000), 1);
		assert_int_equal(recv(fd, back, sizeof(back), 0), size);
		assert_memory_equal(bytes, back, size);
	}
	close(fd);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

static void test_real_clients(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	char *text;

	START(lab, &fault, "to", "10.88.0.2", "name", "gone.test", "answer", "empty");
	text = netlab_output("ip netns exec %s dig +tcp +keepopen +time=3 +tries=1 @10.88.0.2 "
			     "here.test A gone.test A +dnssec here.test AAAA",
			     lab->near);
	assert_non_null(strstr(text, "192.0.2.1"));
	assert_non_null(strstr(text, "2001:db8::1"));
	assert_null(strstr(text, "NXDOMAIN"));
	assert_null(strstr(text, "ANSWER: 2"));
	free(text);
	text = netlab_output("ip netns exec %s dig +short +time=3 +tries=1 @10.88.0.2 gone.test",
			     lab->near);
	assert_string_equal(text, "");
	free(text);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
}

static void test_what_waits_arrives_when_it_ends_in_time(void **state)
{
	struct netlab *lab = *state;
	int fd = dns_socket(lab, "10.88.0.2", 53, SOCK_DGRAM);
	struct pollfd polled = {.fd = fd, .events = POLLIN};
	struct netlab_fault fault;
	uint8_t bytes[512];
	size_t size = dns_query("slow.test", DNS_TYPE_A, 7, bytes);

	START(lab, &fault, "to", "10.88.0.2", "name", "slow.test", "delay", "30s");
	assert_int_equal(send(fd, bytes, size, 0), size);
	for (unsigned i = 0; i < 500 && evidence_of(&fault).hits == 0; i++)
		poll(NULL, 0, 10);
	assert_int_equal(poll(&polled, 1, 50), 0);
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	assert_int_equal(poll(&polled, 1, 1000), 1);
	assert_true(recv(fd, bytes, sizeof(bytes), 0) > 12);
	assert_int_equal(bytes[3] & 15, 0);
	close(fd);
}

static void test_injected_again_after_its_end(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct error err = ERROR_INIT;

	START(lab, &fault, "to", "10.88.0.2", "name", "gone.test", "answer", "nxdomain");
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(DNS_ASK(lab, .name = "gone.test").rcode, DNS_NXDOMAIN);
		netlab_fault_end(&fault, i % 2 ? FAULT_END_NOW : FAULT_END_SOFT);
		netlab_undo_all(fault.run_id);
		netlab_undo_all(fault.run_id); /* twice: nothing more happens */
		ASSERT_SERVED(lab, .name = "gone.test");
		if (dns_fault.inject(&fault.fault, &err) < 0)
			fail_msg("%s", err.text);
	}
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

/* Dying. */

static void live_until_killed(struct netlab *lab, int ready)
{
	struct netlab_fault fault;
	struct error err = ERROR_INIT;

	if (netlab_fault_plan(lab, &fault, "kkkkk1",
			      (const char *[]){"fault", "dns", "to", "10.88.0.2", "name",
					       "gone.test", "answer", "nxdomain", NULL},
			      &err) < 0 ||
	    dns_fault.inject(&fault.fault, &err) < 0)
		_exit(1);
	if (write(ready, "r", 1) == 1)
		pause();
	_exit(2);
}

static void test_killed_and_then_restored(void **state)
{
	struct netlab *lab = *state;
	char *before = netlab_dump(lab), byte;
	int ends[2], fd = dns_socket(lab, "10.88.0.2", 53, SOCK_DGRAM);
	int64_t killed_ns;
	pid_t child;

	assert_int_equal(pipe(ends), 0);
	child = fork();
	if (child == 0)
		live_until_killed(lab, ends[1]);
	close(ends[1]);
	assert_int_equal(read(ends[0], &byte, 1), 1);
	close(ends[0]);
	assert_int_equal(DNS_ASK(lab, .name = "gone.test").rcode, DNS_NXDOMAIN);
	assert_int_equal(DNS_ASK(lab, .name = "gone.test", .fd = fd).rcode, DNS_NXDOMAIN);
	kill(child, SIGKILL);
	killed_ns = clock_now_ns();
	while (DNS_ASK(lab, .name = "gone.test", .timeout_ms = 100).rcode != 0)
		assert_true(clock_now_ns() < killed_ns + NSEC_PER_SEC);
	/* the old socket as well, and over TCP */
	ASSERT_SERVED(lab, .name = "gone.test", .fd = fd);
	ASSERT_SERVED(lab, .name = "gone.test", .over_tcp = true);
	assert_int_equal(waitpid(child, NULL, 0), child);
	netlab_same(lab, before);
	netlab_undo_all("kkkkk1");
	netlab_undo_all("kkkkk1");
	close(fd);
}

/* Failing. */

static unsigned calls_left; /* 0: nothing fails */

static bool fails_now(void)
{
	return calls_left && --calls_left == 0;
}

/* In front of those of libc: each step of an injection needs one of them. */
int bind(int fd, const struct sockaddr *address, socklen_t size)
{
	if (!fails_now())
		return (int)syscall(SYS_bind, fd, address, size);
	errno = EACCES;
	return -1;
}

int listen(int fd, int backlog)
{
	if (!fails_now())
		return (int)syscall(SYS_listen, fd, backlog);
	errno = EACCES;
	return -1;
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
	if (!fails_now())
		return syscall(SYS_sendmsg, fd, message, flags);
	errno = EPERM;
	return -1;
}

static void test_a_failure_at_each_step_leaves_nothing(void **state)
{
	struct netlab *lab = *state;
	char *before = netlab_dump(lab);
	unsigned failed = 0;

	for (unsigned call = 1; call < 60; call++) {
		struct netlab_fault fault;
		struct error err = ERROR_INIT;
		bool is_injected, is_spent;

		if (netlab_fault_plan(lab, &fault, "fffff1",
				      (const char *[]){"fault", "dns", "to", "10.88.0.2", "name",
						       "gone.test", "answer", "nxdomain", NULL},
				      &err) < 0)
			fail_msg("%s", err.text);
		calls_left = call;
		is_injected = dns_fault.inject(&fault.fault, &err) == 0;
		is_spent = calls_left == 0;
		calls_left = 0;
		failed += !is_injected;
		assert_true(is_injected || err.text[0]);
		netlab_fault_finish(&fault, FAULT_END_NOW);
		ASSERT_SERVED(lab, .name = "gone.test");
		if (!is_spent)
			break;
		assert_true(call < 59);
	}
	assert_true(failed >= 5);
	netlab_same(lab, before);
}

static void test_somebody_removes_the_table(void **state)
{
	struct netlab *lab = *state;
	struct netlab_fault fault;
	struct evidence seen;
	struct error err = ERROR_INIT;
	struct dns_state *dns;

	START(lab, &fault, "to", "10.88.0.2", "name", "gone.test", "answer", "nxdomain");
	dns = fault.fault.state;
	netlink_close(dns->owner); /* nobody else can */
	dns->owner = NULL;
	assert_int_equal(dns_fault.evidence(&fault.fault, &seen, &err), -ESTALE);
	ASSERT_SERVED(lab, .name = "gone.test");
	netlab_fault_finish(&fault, FAULT_END_NOW);
}

/* What innocent names pay, for the log; no limit on speed, but a shape. */
static void test_other_names_are_nearly_as_fast(void **state)
{
	enum { COUNT = 200 };
	struct netlab *lab = *state;
	int64_t best[2] = {INT64_MAX, INT64_MAX}, sum[2] = {0};
	struct netlab_fault fault;

	for (unsigned phase = 0; phase < 2; phase++) {
		if (phase)
			START(lab, &fault, "to", "10.88.0.2", "domain", "gone.test", "answer",
			      "nxdomain");
		for (unsigned i = 0; i < COUNT; i++) {
			struct dns_reply reply = DNS_ASK(lab, .name = "here.test");

			assert_int_equal(reply.rcode, 0);
			sum[phase] += reply.took_ns;
			if (reply.took_ns < best[phase])
				best[phase] = reply.took_ns;
		}
	}
	netlab_fault_finish(&fault, FAULT_END_SOFT);
	print_message("other names: %lld us instead of %lld us at best, %lld us instead of %lld us "
		      "on average\n",
		      (long long)best[1] / 1000, (long long)best[0] / 1000,
		      (long long)sum[1] / COUNT / 1000, (long long)sum[0] / COUNT / 1000);
	assert_true(best[1] < best[0] + 100 * NSEC_PER_MSEC);
}

static void test_refusals(void **state)
{
	static const char *const cases[][8] = {
		{"answer", "nxdomain"},
		{"name", "a..test", "answer", "empty"},
		{"name",
		 "b\xc3\xbc"
		 "cher.test",
		 "answer", "empty"},
		{"name", "*.test", "answer", "empty"},
		{"name", "a.test", "answer", "address"},
		{"name", "a.test", "answer", "address", "address", "10.0.0.0/8"},
		{"name", "a.test", "answer", "drop", "delay", "1s"},
	};
	struct netlab *lab = *state;

	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		const char *settings[16] = {"fault", "dns", "to", "10.88.0.2"};
		struct netlab_fault fault;
		struct error err = ERROR_INIT;

		memcpy(settings + 4, cases[i], sizeof(cases[i]));
		assert_int_equal(netlab_fault_plan(lab, &fault, "rrrrr1", settings, &err), -EINVAL);
		assert_true(err.text[0]);
		netlab_fault_finish(&fault, FAULT_END_NOW);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_name_does_not_exist_over_both_protocols_and_families),
		cmocka_unit_test(test_every_answer),
		cmocka_unit_test(test_a_wrong_address),
		cmocka_unit_test(test_a_delay_holds_the_chosen_and_nobody_else),
		cmocka_unit_test(test_queries_on_one_tcp_connection_do_not_wait_for_one_another),
		cmocka_unit_test(test_a_socket_that_is_older_than_the_fault_is_met_and_let_go),
		cmocka_unit_test(test_a_resolver_on_this_machine_is_a_server_like_any_other),
		cmocka_unit_test(test_several_servers_asked_from_one_port),
		cmocka_unit_test(test_two_faults_add_up),
		cmocka_unit_test(test_what_is_no_query_passes_as_it_is),
		cmocka_unit_test(test_real_clients),
		cmocka_unit_test(test_what_waits_arrives_when_it_ends_in_time),
		cmocka_unit_test(test_injected_again_after_its_end),
		cmocka_unit_test(test_killed_and_then_restored),
		cmocka_unit_test(test_a_failure_at_each_step_leaves_nothing),
		cmocka_unit_test(test_somebody_removes_the_table),
		cmocka_unit_test(test_other_names_are_nearly_as_fast),
		cmocka_unit_test(test_refusals),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
