/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Recordings of round trips as programs write them: what is taken, what is lost, what is refused.
 */
#include "faults/network.h"
#include "faults/network_measured.h"
#include "faults/network_recording.h"
#include "injector/base/clock.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define US NSEC_PER_USEC

static int read_text(const char *text, struct recording *out, struct error *err)
{
	char *copy = strdup(text);
	int result;

	*out = (struct recording){0};
	result = recording_read(copy, strlen(copy), "trips.txt", out, err);
	free(copy);
	return result;
}

/* The round trips in microseconds, as text. */
static void assert_read(const char *text, uint64_t lost, const char *expected)
{
	struct recording recording;
	struct error err = ERROR_INIT;
	char list[400] = "";

	if (read_text(text, &recording, &err) < 0)
		fail_msg("%s: %s", text, err.text);
	for (size_t i = 0; i < recording.count; i++)
		snprintf(list + strlen(list), sizeof(list) - strlen(list), "%s%lld", i ? " " : "",
			 (long long)(recording.trips_ns[i] / US));
	assert_string_equal(list, expected);
	assert_int_equal(recording.lost, lost);
	recording_free(&recording);
}

static void assert_refused(const char *text, const char *words)
{
	struct recording recording;
	struct error err = ERROR_INIT;

	if (read_text(text, &recording, &err) == 0)
		fail_msg("taken: %s", text);
	if (!strstr(err.text, words))
		fail_msg("%s: %s", text, err.text);
	recording_free(&recording);
}

#define HEADER "PING 10.0.0.1 (10.0.0.1) 56(84) bytes of data.\n"

static void test_other_lines_of_ping_are_skipped_and_the_lost_counted(void **state)
{
	(void)state;
	assert_read(HEADER "From 10.0.0.2 icmp_seq=1 Destination Host Unreachable\n"
			   "no answer yet for icmp_seq=2\n"
			   "64 bytes from 10.0.0.1: icmp_seq=3 ttl=64 time=12.3 ms\n"
			   "64 bytes from 10.0.0.1: icmp_seq=4 ttl=64 time=0.045 ms\n"
			   "\n--- 10.0.0.1 ping statistics ---\n"
			   "4 packets transmitted, 2 received, +1 errors, 50% packet loss, time "
			   "3004ms\n"
			   "rtt min/avg/max/mdev = 0.045/6.1/12.3/1 ms\n",
		    2, "12300 45");
	/* no answer yet is not lost when it comes after all */
	assert_read(HEADER "no answer yet for icmp_seq=1\n"
			   "64 bytes from 10.0.0.1: icmp_seq=1 ttl=64 time=1200 ms\n"
			   "64 bytes from 10.0.0.1: icmp_seq=2 ttl=64 time=12.3 ms\n",
		    0, "1200000 12300");
}

static void test_gaps_are_lost_where_ping_was_killed(void **state)
{
	char wrap[4000] = HEADER;

	(void)state;
	assert_read(HEADER "64 bytes from 10.0.0.1: icmp_seq=2 ttl=64 time=12.3 ms\n"
			   "64 bytes from 10.0.0.1: icmp_seq=2 ttl=64 time=13.3 ms (DUP!)\n"
			   "64 bytes from 10.0.0.1: icmp_seq=5 ttl=64 time=12.4 ms\n",
		    3, "12300 13300 12400");
	/* one of two recordings behind each other */
	assert_read(HEADER "64 bytes from 10.0.0.1: icmp_seq=2 ttl=64 time=1 ms\n" HEADER
			   "64 bytes from 10.0.0.1: icmp_seq=1 ttl=64 time=2 ms\n",
		    1, "1000 2000");
	/* the numbers have 16 bits */
	for (unsigned i = 1; i <= 3; i++)
		snprintf(wrap + strlen(wrap), sizeof(wrap) - strlen(wrap),
			 "64 bytes from 10.0.0.1: icmp_seq=%u ttl=64 time=%u ms\n",
			 (i * 30000) % 65536, i);
	assert_read(wrap, 3 * 30000 - 3, "1000 2000 3000");
}

static void test_pings_of_others_are_read(void **state)
{
	(void)state;
	/* iputils in German and French */
	assert_read("PING 10.0.0.1 (10.0.0.1) 56(84) Bytes an Daten.\n"
		    "64 Bytes von 10.0.0.1: icmp_seq=1 ttl=64 Zeit=12.3 ms\n"
		    "64 octets de 10.0.0.1 : icmp_seq=2 ttl=64 temps=14,5 ms\n"
		    "\n--- 10.0.0.1 Ping-Statistiken ---\n"
		    "3 Pakete übertragen, 2 empfangen, 33.3333% packet loss, time 2003ms\n",
		    1, "12300 14500");
	assert_read(HEADER
		    "[1767225600.123456] 64 bytes from 10.0.0.1: icmp_seq=1 ttl=64 time=5 ms\n",
		    0, "5000");
	/* busybox counts from 0 */
	assert_read("PING 10.0.0.1 (10.0.0.1): 56 data bytes\n"
		    "64 bytes from 10.0.0.1: seq=1 ttl=64 time=0.100 ms\n"
		    "64 bytes from 10.0.0.1: seq=2 ttl=64 time=0.200 ms\n",
		    1, "100 200");
	/* macOS */
	assert_read("PING 10.0.0.1 (10.0.0.1): 56 data bytes\n"
		    "Request timeout for icmp_seq 0\n"
		    "64 bytes from 10.0.0.1: icmp_seq=1 ttl=64 time=7.125 ms\n",
		    1, "7125");
	/* Windows */
	assert_read("\r\nPinging 10.0.0.1 with 32 bytes of data:\r\n"
		    "Reply from 10.0.0.1: bytes=32 time=12ms TTL=64\r\n"
		    "Request timed out.\r\n"
		    "Antwort von 10.0.0.1: Bytes=32 Zeit<1ms TTL=64\r\n"
		    "\r\nPing statistics for 10.0.0.1:\r\n"
		    "    Packets: Sent = 3, Received = 2, Lost = 1 (33% loss),\r\n",
		    1, "12000 1000");
	assert_read("10.0.0.1 : [0], 64 bytes, 12.3 ms (12.3 avg, 0% loss)\n"
		    "10.0.0.1 : [1], timed out (12.3 avg, 50% loss)\n"
		    "10.0.0.1 : [2], 84 bytes, 0.45 ms (6.3 avg, 33% loss)\n"
		    "\n10.0.0.1 : xmt/rcv/%loss = 3/2/33%, min/avg/max = 0.45/6.3/12.3\n",
		    1, "12300 450");
	/* of grep -o */
	assert_read("time=12.3\ntime=14 ms\n", 0, "12300 14000");
}

static void test_values_alone_and_behind_a_time(void **state)
{
	(void)state;
	assert_read("\xef\xbb\xbf# ms\n12.5\n14 ms\n 1.2s \r\n800us # note\n15 # note\n", 0,
		    "12500 14000 1200000 800 15000");
	assert_read("14.235973358154297\n", 0, "14235");
	assert_read("2026-01-01T00:00:00Z 12.3ms\n2026-01-01T00:00:01+01:00 timeout\n"
		    "2026-01-01 00:00:02,123 12.4 ms\n[1767225600.5] 12.5\n1767225600 12.6ms\n"
		    "10:20:30 12.7\n",
		    1, "12300 12400 12500 12600 12700");
}

static void test_columns(void **state)
{
	(void)state;
	assert_read("1,10.0.0.1,12.3\n2,10.0.0.1,timeout\n3,10.0.0.1,\"12.4\"\n", 1, "12300 12400");
	assert_read("time,rtt_us,host\n1,12300,a\n2,,a\n3,500,\"a,b\"\n", 1, "12300 500");
	assert_read("timestamp;request duration (s)\n2026-01-01;0.123\n", 0, "123000");
	assert_read("latency_ms\n12.3\n", 0, "12300");
	assert_read("2026-01-01 00:00:00,12.3\n", 0, "12300");
}

static void test_what_is_no_round_trip_is_refused(void **state)
{
	(void)state;
	assert_refused("12\nrequest_time=0.123\n",
		       "trips.txt:2: no round trip: 'request_time=0.123' does not begin with a "
		       "number (a line of ping or fping is");
	assert_refused("10.0.0.1 request_time=0.123\n", "trips.txt:1: no round trip");
	assert_refused("12,3\n", "may be a decimal comma or two columns");
	assert_refused("12.3 45.6\n", ":1: no round trip");
	assert_refused("abc 12ms\n", ":1: no round trip: 'abc 12ms'");
	assert_refused("a,rtt\n1\n", "there are 1 columns, and the first line names 2");
	assert_refused("5000s\n", "'5000s' is more than 1h");
	assert_refused("-3\n", "does not begin with a number");
	assert_refused("no icmp_seq", "does not begin");
	assert_refused("{\"latency\": 12}\n", "does not begin");
}

static int give(void *context, const char *name, size_t max, char **out_text, size_t *out_length,
		struct error *err)
{
	(void)name;
	(void)err;
	assert_true(strlen(context) <= max);
	*out_text = strdup(context);
	*out_length = strlen(context);
	return 0;
}

static struct params load(char *text, const char *const *words)
{
	const struct fault_files files = {.read = give, .context = text};
	struct params params;
	struct error err = ERROR_INIT;

	assert_int_equal(params_init(&params, network_params, &err), 0);
	assert_int_equal(params_add(&params, NETWORK_DISTRIBUTION_FILE, "trips.txt", 0, 0, &err),
			 0);
	for (; words && *words; words += 2)
		assert_int_equal(params_add(&params,
					    (unsigned)params_find(network_params, words[0]),
					    words[1], 0, 0, &err),
				 0);
	if (network_load(&params, &files, &err) < 0 || network_check(&params, &err) < 0)
		fail_msg("%s", err.text);
	return params;
}

static void test_span_and_loss_are_told(void **state)
{
	char text[] = HEADER "no answer yet for icmp_seq=1\nno answer yet for icmp_seq=2\n"
			     "64 bytes from 10.0.0.1: icmp_seq=3 ttl=64 time=12.3 ms\n"
			     "64 bytes from 10.0.0.1: icmp_seq=4 ttl=64 time=0.045 ms\n";
	struct params params = load(text, NULL);
	char words[1000];

	(void)state;
	assert_string_equal(network_measured_span(&params, words, sizeof(words)),
			    "2 round trips, 0.045ms to 12.3ms, median 12.3ms");
	assert_string_equal(network_measured_lost(&params, words, sizeof(words)),
			    "50% of the recorded round trips were lost; that is not replayed: add "
			    "loss: 50%");
	network_explain(&params, words, sizeof(words));
	assert_non_null(strstr(words, "2 round trips, 0.045ms to 12.3ms"));
	assert_non_null(strstr(words, "add loss: 50%"));
	params_free(&params);
	params = load(text, (const char *[]){"gemodel-p", "1%", "direction", "both", NULL});
	assert_string_equal(network_measured_lost(&params, words, sizeof(words)), "");
	network_explain(&params, words, sizeof(words));
	assert_null(strstr(words, "not replayed"));
	assert_non_null(strstr(words, "each way"));
	params_free(&params);
}

static void test_a_recording_of_losses_alone_is_refused(void **state)
{
	char text[] = HEADER "no answer yet for icmp_seq=1\nno answer yet for icmp_seq=2\n";
	const struct fault_files files = {.read = give, .context = text};
	struct params params;
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(params_init(&params, network_params, &err), 0);
	assert_int_equal(params_add(&params, NETWORK_DISTRIBUTION_FILE, "trips.txt", 0, 0, &err),
			 0);
	assert_true(network_load(&params, &files, &err) < 0);
	assert_non_null(strstr(err.text, "no round trips, and 2 that were lost"));
	params_free(&params);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_other_lines_of_ping_are_skipped_and_the_lost_counted),
		cmocka_unit_test(test_gaps_are_lost_where_ping_was_killed),
		cmocka_unit_test(test_pings_of_others_are_read),
		cmocka_unit_test(test_values_alone_and_behind_a_time),
		cmocka_unit_test(test_columns),
		cmocka_unit_test(test_what_is_no_round_trip_is_refused),
		cmocka_unit_test(test_span_and_loss_are_told),
		cmocka_unit_test(test_a_recording_of_losses_alone_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
