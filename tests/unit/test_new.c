/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What `squall new` writes is valid whatever the answers, and `squall explain` says what it does.
 */
#include "injector/base/cleanup.h"
#include "injector/cli/new_file.h"
#include "injector/experiment/load.h"
#include "injector/report/explain.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct experiment *parsed(const char *text)
{
	struct experiment_text copy = {.bytes = strdup(text), .length = strlen(text)};
	struct experiment *experiment = NULL;
	struct yaml_problems problems = {0};
	struct error err = ERROR_INIT;

	if (experiment_parse(&copy, "x.yaml", &experiment, &problems, &err) < 0)
		fail_msg("%s in: %s", err.text, text);
	yaml_problems_free(&problems);
	experiment_text_free(&copy);
	return experiment;
}

static char *explained(const struct experiment *experiment)
{
	char *text = NULL;
	size_t size;
	FILE *out = open_memstream(&text, &size);
	struct page page;

	page_init(&page, out, false, 72);
	explain_experiment(experiment, &page);
	fclose(out);
	for (char *at = text; *at; at++)
		if (*at == '\n')
			*at = ' ';
	return text;
}

static void expect_in(const char *text, const char *wanted)
{
	cleanup_free char *one_blank = strdup(text);
	size_t used = 0;

	for (const char *at = text; *at; at++)
		if (*at != ' ' || !used || one_blank[used - 1] != ' ')
			one_blank[used++] = *at;
	one_blank[used] = '\0';
	if (!strstr(one_blank, wanted))
		fail_msg("not said: %s\nin: %s", wanted, one_blank);
}

static void experiment_drop(struct experiment *experiment)
{
	experiment_free(experiment);
	free(experiment);
}

static void test_every_answer_gives_a_valid_file(void **state)
{
	static const char *const probes[] = {"http://127.0.0.1:80/a?b=c&d", "10.0.0.1:5432",
					     "redis-cli ping", "/usr/bin/check"};
	static const char *const bad[] = {"200ms", "5%", NULL, "TERM", NULL};

	(void)state;
	for (int what = NEW_SLOW; what <= NEW_PAUSED; what++)
		for (unsigned i = 0; i < sizeof(probes) / sizeof(*probes); i++) {
			const struct new_answers answers = {
				.what = (enum new_what)what,
				.title = "it's \"quoted\" \\ # : {x} [y] & *z !w %v @u",
				.where = new_is_process((enum new_what)what) ? "a-b.service"
									     : "[fd00::1]:443",
				.how_bad = bad[what],
				.lasts = what == NEW_KILLED ? NULL : "20s",
				.probe = probes[i],
				.within = "1500ms",
			};
			cleanup_free char *text = new_file(&answers);
			struct experiment *experiment = parsed(text);

			assert_string_equal(experiment->title, answers.title);
			assert_int_equal(experiment->step_count, 1);
			assert_int_equal(experiment->probe_count, 1);
			assert_int_equal(experiment->abort_count, 1);
			/* it can fire while the fault lasts, also when every attempt hangs */
			if (answers.lasts)
				assert_true(experiment->aborts[0].fails *
						    experiment->probes[0].timeout_ns <
					    experiment->steps[0].for_ns);
			assert_string_equal(experiment->probes[0].subject[0],
					    i == 2 ? "redis-cli" : probes[i]);
			experiment_drop(experiment);
		}
}

static const char head[] = "version: 1\ntitle: T\nlimits: {duration: 5m, targets: 3}\n"
			   "probes: {shop: {http: \"http://127.0.0.1/\"}}\n"
			   "steady-state: {require: [shop], for: 5s}\n"
			   "abort-when: [{probe: shop, fails: 20%, over: 30s}]\n"
			   "recovery: {require: [shop], within: 15s}\nmethod: ";

static void test_explain_counts_round_trips(void **state)
{
	static const struct {
		const char *step, *wanted;
	} cases[] = {
		{"{at: 0s, for: 10s, network: {to: \"10.0.0.1:80\", delay: 400ms}}",
		 "two round trips meet 400ms each, 800ms in all; with TLS three, 1.2s"},
		{"{at: 0s, for: 10s, network: {to: \"10.0.0.1:80\", delay: 400ms, direction: "
		 "both}}",
		 "two round trips meet 800ms each, 1.6s in all"},
		{"{at: 0s, for: 10s, network: {to: \"10.0.0.1:80\", rate: 8mbit}}",
		 "No more than 1.0 MB a second pass, all connections together"},
		{"{at: 0s, for: 10s, network: {to: \"10.0.0.1:80\", rate: 8mbit, direction: "
		 "both}}",
		 "No more than 1.0 MB a second pass each way, all connections together"},
		{"{at: 0s, for: 10s, network: {to: \"10.0.0.1:80\", rate: 80kbit, burst: 64kB}}",
		 "No more than 10.0 kB a second pass, all connections together; after a pause the "
		 "first 64.0 kB pass at once."},
		{"{at: 0s, for: 10s, network: {to: \"10.0.0.1:80\", rate: 8mbit, burst: 2MB, "
		 "peak-rate: 80mbit}}",
		 "after a pause the first 2.0 MB pass faster, 10.0 MB a second."},
		{"{at: 0s, for: 10s, network: {to: \"10.0.0.1:80\", loss-every: 200}}",
		 "Of every 200 packets exactly one is lost, by counting. Of requests with about 10 "
		 "packets, one in 20 meets a loss"},
		{"{at: 0s, for: 10s, network: {to: \"10.0.0.1:80\", loss-every: 4}}",
		 "Each request with about 10 packets meets a loss"},
		{"{at: 0s, for: 10s, network: {to: \"10.0.0.1:80\", gemodel-p: 1%, gemodel-r: "
		 "20%}}",
		 "Losses come in bursts: one packet in 100 begins bad times, which last 5 packets "
		 "on average and lose 100% of them; that is about 4.8% of all packets"},
		{"{at: 0s, for: 10s, network: {to: \"10.0.0.1:80\", gemodel-p: 1%, gemodel-r: 9%, "
		 "gemodel-1-h: 50%, gemodel-1-k: 1%}}",
		 "and lose 50% of them; in good times 1% are lost; that is about 5.9% of all"},
		{"{at: 0s, for: 10s, network: {to: \"10.0.0.1:80\", state-p13: 1%, state-p31: 20%, "
		 "state-p14: 0.1%}}",
		 "one packet in 100 begins one, in which 5 packets are lost on average; outside of "
		 "them 0.1% are lost, each alone; that is about 4.9% of all packets"},
		{"{at: 0s, for: 10s, network: {to: \"10.0.0.1:80\", state-p13: 1%, state-p31: 20%, "
		 "state-p32: 10%, state-p23: 50%}}",
		 "in which 5 packets are lost on average and 1 come through between them; that is "
		 "about 4.7% of all packets"},
		{"{at: 0s, for: 10s, network: {to: \"10.0.0.1:80\", gemodel-p: 1%, gemodel-r: "
		 "100%}}",
		 "begins bad times, which last 1 packet on average"},
		{"{at: 0s, for: 10s, ramp: {from: 1%, to: 50%, over: 5s}, network: {to: "
		 "\"10.0.0.1:80\", loss: 50%}}",
		 "a lost attempt to connect costs 1s. The ramp goes no further than 50% of that."},
		{"{at: 0s, for: 10s, network: {to: \"10.0.0.1:80\", share: 10%, loss: 100%}}",
		 "Of the connections 10% meet it, the same ones from beginning to end; the others "
		 "notice nothing. Nothing gets through and nothing is refused"},
		{"{at: 0s, for: 10s, network: {to: \"10.0.0.1:80\", share: 5%, share-of: "
		 "addresses, tcp-flags: fin, delay: 5s}}",
		 "Of the far addresses 5% meet it, the same ones from beginning to end; the others "
		 "notice nothing. A connection meets it only when it is closed"},
		{"{at: 0s, for: 10s, network: {to: \"10.0.0.1:80\", slot: 100ms, slot-max: 200ms, "
		 "slot-packets: 5}}",
		 "leave together, 100ms to 200ms apart: one that comes in between waits for the "
		 "next time, and so does what is more than 5 packets."},
		{"{at: 0s, for: 10s, network: {to: \"10.0.0.1:80\", duplicate: 2%}}",
		 "2% of the packets arrive twice: TCP throws the copy away"},
		{"{at: 0s, for: 10s, network: {to: \"10.0.0.1:80\", corrupt: 0.1%}}",
		 "In 0.1% of the packets one bit is wrong: a checksum finds it"},
		{"{at: 0s, for: 10s, network: {to: \"10.0.0.1:80\", delay: 9ms, reorder: 5%, "
		 "reorder-gap: 4}}",
		 "5% of the packets are not held back and overtake those that are, at most one in "
		 "4:"},
		{"{at: 0s, for: 10s, network: {to: \"10.0.0.1:80\", loss: 2%, ecn: true}}",
		 "Connections that know ECN are marked instead, and slow down."},
		{"{at: 0s, for: 10s, network: {to: \"10.0.0.1:80\", delay: 9ms, jitter: 2ms, "
		 "distribution: normal}}",
		 "It varies by 2ms as a standard deviation"},
		{"{at: 0s, for: 10s, network: {to: \"10.0.0.1:80\", loss: 5%}}",
		 "5% of the packets are lost. Of requests with about 10 packets, 40% meet a loss"},
		{"{at: 0s, for: 10s, network: {to: \"10.0.0.1:80\", loss: 100%}}",
		 "Nothing gets through and nothing is refused"},
		{"{at: 0s, for: 10s, network: {to: \"10.0.0.1:80\", tcp-flags: fin, delay: 5s}}",
		 "A connection meets it only when it is closed (fin, with data that leave together "
		 "with it); what else it carries is as before."},
		{"{at: 0s, for: 10s, network: {to: \"10.0.0.1:80\", tcp-flags: [rst, syn], loss: "
		 "100%}}",
		 "only when it is set up (syn, also in the answer) or is broken off (rst); what"},
		{"{at: 0s, for: 10s, network: {to: \"10.0.0.1:80\", tcp-flags: [psh, fin], loss: "
		 "5%}}",
		 "Only TCP packets with psh or fin are met. 5% of the packets are lost."},
		{"{at: 0s, for: 10s, network: {to: \"10.0.0.1:80\", tcp-flags: [syn, '!ack'], "
		 "loss: "
		 "100%}}",
		 "only when it begins (syn without ack: the first packet of who connects); what"},
		{"{at: 0s, for: 10s, network: {to: \"10.0.0.1:80\", tcp-flags: ['!ack', psh], "
		 "loss: "
		 "5%}}",
		 "Only TCP packets with not ack and psh are met. 5% of the packets are lost."},
		{"{at: 0s, for: 10s, network: {to: \"10.0.0.1:80\", after-bytes: 1MB, partition: "
		 "reset}}",
		 "A connection notices nothing until 1MB of its packets have passed. It ends with "
		 "\"connection reset\" for whoever sends more."},
		{"{at: 0s, for: 10s, network: {to: \"10.0.0.1:80\", segment: 100B}}",
		 "What is sent over TCP leaves in pieces of 100B at most, each a packet"},
		{"{at: 61s, process: {name: nginx}}",
		 "1:01 kill processes with name nginx They die"},
		{"{at: 0s, for: 10s, process: {name: nginx, action: pause}}", "They stand still"},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		cleanup_free char *file = NULL, *text = NULL;
		struct experiment *experiment;

		assert_true(asprintf(&file, "%s[%s]\n", head, cases[i].step) > 0);
		experiment = parsed(file);
		text = explained(experiment);
		expect_in(text, cases[i].wanted);
		expect_in(text, "20% of the attempts of shop within 30s do not pass");
		expect_in(text, "shop must pass for 5s. Otherwise nothing is injected");
		expect_in(text, "shop must pass again within 15s");
		expect_in(text, "At the latest after 5m all is over, and no more than 3 things");
		experiment_drop(experiment);
	}
}

/* The words are those that the C library and the kernel have: seen with getaddrinfo(3) and a real
 * server. */
static void test_explain_tells_what_a_caller_gets(void **state)
{
	static const struct {
		const char *step, *wanted;
	} cases[] = {
		{"dns: {to: \"10.0.0.53\", domain: shop.test}",
		 "A lookup fails with \"Name or service not known\" (NXDOMAIN)"},
		{"dns: {to: \"10.0.0.53\", domain: shop.test, answer: servfail}",
		 "answers SERVFAIL. The resolver asks the next one; when each of them answers so, "
		 "the "
		 "lookup fails with \"Temporary failure in name resolution\""},
		{"dns: {to: \"10.0.0.53\", domain: shop.test, answer: empty}",
		 "A lookup fails with \"No address associated with hostname\""},
		{"dns: {to: \"10.0.0.53\", domain: shop.test, answer: address, address: "
		 "[192.0.2.1, "
		 "192.0.2.2]}",
		 "A lookup gets 192.0.2.1 and 192.0.2.2 instead of the truth"},
		{"dns: {to: \"10.0.0.53\", domain: shop.test, answer: random}",
		 "A lookup gets another address each time, of networks that nobody has"},
		{"dns: {to: \"10.0.0.53\", domain: shop.test, answer: drop}",
		 "resolution\": 10s with one server, 20s with two."},
		{"dns: {to: \"10.0.0.53\", domain: shop.test, delay: 700ms}",
		 "A lookup gets the true answer, which comes 700ms late. Both address families are "
		 "asked for at the same time, so a new connection by name meets 700ms once"},
		{"dns: {to: \"10.0.0.53\", domain: shop.test, delay: 12s}",
		 "with one server after 10s."},
		{"dns: {to: \"10.0.0.53\", domain: shop.test, probability: 50%}",
		 "50% of the queries meet this: a lookup of both address families makes two, and "
		 "in 75% "
		 "of the lookups at least one is met."},
		{"dns: {to: \"10.0.0.53\", domain: shop.test, type: [A, AAAA]}",
		 "Only questions of type A and AAAA are met"},
		{"http: {to: \"10.0.0.1\", path: \"/api/*\", method: [GET, HEAD], answer: 503}",
		 "A request with method GET or HEAD for /api/* gets the answer 503 Service "
		 "Unavailable, which the server does not know of"},
		{"http: {to: \"10.0.0.1\", header: \"User: test*\", abort: true, delay: 1s}",
		 "A request with the header User: test* waits 1s and then gets no answer: its "
		 "connection is reset (ECONNRESET)"},
		{"http: {to: \"10.0.0.1\", delay: 300ms, probability: 10%}",
		 "A request waits 300ms and then goes on to the server; those behind it on the "
		 "same connection wait with it. 10% of these requests meet this, each by itself."},
		{"connect: {name: shop, error: ETIMEDOUT, protocol: any}",
		 "connect() returns ETIMEDOUT, \"connection timed out\", without a packet sent"},
		{"connect: {name: shop, error: ECONNREFUSED, probability: 50%}",
		 "50% of the attempts fail so, each by itself: two in a row fail in 25%, three in "
		 "12%."},
		{"port: {to: \"10.0.0.1:80\", action: exhaust}",
		 "A new connection there fails at once: connect() returns EADDRNOTAVAIL, \"cannot "
		 "assign requested address\""},
		{"port: {to: \"10.0.0.1:80\", action: exhaust, leave: 3}",
		 "The first 3 new connections there still succeed; the next ones fail. They fail "
		 "at once"},
		{"port: {local-port: 80, action: occupy}",
		 "A service that is started meanwhile fails: bind() returns EADDRINUSE"},
		{"port: {local-port: 80, action: occupy, in-use: true}",
		 "The service that has the port works on"},
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		cleanup_free char *file = NULL, *text = NULL;
		struct experiment *experiment;

		assert_true(asprintf(&file, "%s[{at: 0s, for: 10s, %s}]\n", head, cases[i].step) >
			    0);
		experiment = parsed(file);
		text = explained(experiment);
		expect_in(text, cases[i].wanted);
		experiment_drop(experiment);
	}
}

static void test_explain_says_all_that_decides(void **state)
{
	static const char file[] =
		"version: 1\ntitle: T\nlimits: {duration: 5m, targets: 3}\n"
		"source: https://example.org/report\ntime-scale: 60\n"
		"probes: {shop: {http: \"http://127.0.0.1/\"}, cart: {http: "
		"\"http://127.0.0.1/\"},\n"
		"         alarm: {tcp: \"127.0.0.1:1\"}, backup: {tcp: \"127.0.0.1:2\"}}\n"
		"require-before: backup\n"
		"steady-state:\n  - {require: [shop], for: 5s}\n"
		"  - {require: [cart], for: 10s, within: 1m}\n"
		"expect:\n  - {probe: alarm, detected-within: 30s, of: lost}\n"
		"  - {probe: shop, holds: 99%}\n  - {probe: shop, degrades-to: cart}\n"
		"recovery: {require: [shop], within: 15s, hold: 3s}\n"
		"method: [{name: lost, at: 0s, for: 1h,\n"
		"          network: {to: \"10.0.0.1:80\", loss: 100%}}]\n";
	static const char *const wanted[] = {
		"The first attempt of backup must pass, or it is refused (exit code 2).",
		"shop must pass for 5s. cart must pass for 10s. That may take 1m to begin. "
		"Otherwise nothing is injected (exit code 5).",
		"The times of the file are divided by 60 (time-scale). "
		"As told in https://example.org/report 0:00",
		"shop must pass again within 15s, and go on for 3s; how long",
		"- alarm sees it: fails within 30s after the beginning of lost",
		"- 99% of the attempts of shop pass during the faults",
		"- cart passes during the faults, and shop may fail",
		"- no attempt of cart fails while the faults last, everything is restored, "
		"recovery is "
		"in time, and every fault has hit something.",
	};
	struct experiment *experiment = parsed(file);
	cleanup_free char *text = explained(experiment);

	(void)state;
	for (unsigned i = 0; i < sizeof(wanted) / sizeof(*wanted); i++)
		expect_in(text, wanted[i]);
	experiment_drop(experiment);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_answer_gives_a_valid_file),
		cmocka_unit_test(test_explain_counts_round_trips),
		cmocka_unit_test(test_explain_tells_what_a_caller_gets),
		cmocka_unit_test(test_explain_says_all_that_decides),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
