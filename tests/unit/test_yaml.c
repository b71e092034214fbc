/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Bad files and the exact words about them. A case is a piece of a file; what a whole file needs
 * beside it is added, so that each case shows one thing.
 */
#include "injector/experiment/yaml.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/support/bad_files.h"

static const struct bad bad_text[] = {
	{"", 0, 0, "the file is empty"},
	{"# a comment\n", 0, 0, "the file is empty"},
	{"title: \xff\n", 1, 8, "the file is not UTF-8 text"},
	{"title: \xc0\xaf\n", 1, 8, "the file is not UTF-8 text"},
	{"title: \xed\xa0\x80\n", 1, 8, "the file is not UTF-8 text"},
	{"title: x\x01\n", 1, 9, "a control character (code 1)"},
	{"# \xe2\x80\xae\n", 1, 3,
	 "an invisible character (U+202E) that can make the text look like another; remove it"},
	{"limits:\n\tduration: 1s\n\ttargets: 1\n", 2, 1,
	 "a tab character (and 1 more below); use spaces"},
	{"title: x\r\n\ty: 1", 2, 1, "a tab character; use spaces"},
};

static const struct bad bad_syntax[] = {
	{"to: *:443\n", 1, 6,
	 "did not find expected alphabetic or numeric character while scanning "
	 "an alias; a value that begins with '*' or '&' goes in quotes: "
	 "\"*:443\""},
	{"a: > 5\n", 1, 6,
	 "did not find expected comment or line break while scanning a block "
	 "scalar; a comparison with '>' goes in quotes: \"> 5\""},
	{"a: {b: > 5}\n", 1, 8,
	 "found character that cannot start any token while scanning for the "
	 "next token; a value that begins with '>' goes in quotes"},
	{"a: {to: [fd00::1]:80}\n", 1, 18,
	 "did not find expected ',' or '}' while parsing a flow mapping; an IPv6 address in "
	 "brackets "
	 "goes in quotes: \"[2001:db8::1]:443\""},
	{"a: {to: [::1]:80}\n", 1, 10,
	 "did not find expected node content while parsing a flow node; an IPv6 address in "
	 "brackets "
	 "goes in quotes: \"[2001:db8::1]:443\""},
	{"a: {b: 1\nc: 2\n", 2, 2,
	 "did not find expected ',' or '}' (while parsing a flow mapping that begins in line 1); "
	 "the "
	 "bracket is not closed, or a comma is missing"},
	{"a:\n  b: 1\n c: 2\n", 3, 2,
	 "did not find expected key (while parsing a block mapping that begins in line 1); check "
	 "the "
	 "indentation: keys of one mapping stand in one column"},
	{"a: \"x\nb: c\n", 1, 4, "the quote that begins here is not closed"},
	{"a: \"x\nb: \"c\"\n", 2, 5,
	 "did not find expected key (while parsing a block mapping that begins in line 1); is the "
	 "quote in line 1 closed?"},
	{"a:\xc2\xa0x\nb: c\n", 1, 3,
	 "a no-break space (U+00A0), which is a letter in YAML; write a plain space"},
	{"a: {b:}\n", 1, 6,
	 "found unexpected ':' while scanning a plain scalar; a key is written 'key: value', with "
	 "a space"},
	{"a: [, x]\n", 1, 5,
	 "did not find expected node content while parsing a flow node; a value is missing here"},
	{"%YAML 3.0\n---\na: b\n", 1, 1,
	 "found incompatible YAML document; leave the line with %YAML out"},
	{"a: [[[[[[[[[1]]]]]]]]]\n", 1, 11, "nested too deeply: at most 8 levels are allowed"},
	{ON_ROOT(HEAD TARGETS METHOD "---\ntitle: u\n"), 6, 1,
	 "a second document begins here ('---'); a file holds one experiment"},
	{"- version: 1\n", 1, 1,
	 "an experiment must be a mapping like version: 1, title: ..., limits: ..., method: ..., "
	 "not "
	 "a list"},
	{ON_END("hypothesis: &x y\n"), 7, 13,
	 "anchors are not allowed ('&x'); if the value begins with '&', put it in quotes"},
	{ON_END("hypothesis: !x y\n"), 7, 13,
	 "tags are not allowed ('!x'); if the value begins with '!', put it in quotes"},
	{ON_END("hypothesis: *x\n"), 7, 13,
	 "aliases are not allowed ('*x'); a value that begins with '*' goes in quotes: \"*:443\""},
	{ON_END("<<: {hypothesis: x}\n"), 7, 1,
	 "merge keys ('<<') are not allowed; write the keys out"},
	{ON_END("? [a]\n: b\n"), 7, 3, "a key must be a single word, not a list*"},
	{ON_END("hypothesis: \"\\0\"\n"), 7, 13, "the value contains a NUL character"},
	{ON_END("title: again\n"), 7, 1,
	 "key 'title' is given twice; the first is in line 2, column 1"},
};

static const struct bad bad_root[] = {
	{"title: t\nlimits: {duration: 1m, targets: 9}\n" TARGETS METHOD, 1, 1,
	 "'version' is missing in the experiment: version of the format: 1 (number)"},
	{"version: 2\ntitle: t\nlimits: {duration: 1m, targets: 9}\n" TARGETS METHOD, 1, 10,
	 "version 2 of the format is not known; this is squall " SQUALL_VERSION
	 ", which reads version 1"},
	{"version: 1\nlimits: {duration: 1m, targets: 9}\n" TARGETS METHOD, 1, 1,
	 "'title' is missing in the experiment: what is rehearsed, in a few words (text)"},
	{"version: 1\ntitle:\nlimits: {duration: 1m, targets: 9}\n" TARGETS METHOD, 2, 7,
	 "'title' has no value; it must be: text"},
	{"version: 1\ntitle: [a]\nlimits: {duration: 1m, targets: 9}\n" TARGETS METHOD, 2, 8,
	 "'title' takes one value, not a list: text"},
	{"version: 1\ntitle: t\n" TARGETS METHOD, 1, 1,
	 "'limits' is missing: an experiment needs an end and a bound on its reach, like limits: "
	 "{duration: 5m, targets: 3}"},
	{"version: 1\ntitle: t\nlimits: 5m\n" TARGETS METHOD, 3, 9,
	 "'limits' must be a mapping like {duration: 5m, targets: 3}, not a single value"},
	{"version: 1\ntitle: t\nlimits:\n" TARGETS METHOD, 3, 8,
	 "'limits' has no value; it must be a mapping like {duration: 5m, targets: 3}"},
	{"version: 1\ntitle: t\nlimits: {duration: 1m}\n" TARGETS METHOD, 3, 9,
	 "'targets' is missing in 'limits': most processes and endpoints that may be touched "
	 "(number, 1 to 100000)"},
	{"version: 1\ntitle: t\nlimits: {duration: 300, targets: 9}\n" TARGETS METHOD, 3, 20,
	 "duration: '300' has no unit; write 300ms or 300s (units: ns, us, ms, s, m, min, h, d)"},
	{"version: 1\ntitle: t\nlimits: {duration: 8d, targets: 9}\n" TARGETS METHOD, 3, 20,
	 "duration: '8d' is out of range: 1s to 7d is allowed"},
	{"version: 1\ntitle: t\nlimits: {duration: 1m, target: 9}\n" TARGETS METHOD, 3, 24,
	 "unknown key 'target' in 'limits'; did you mean 'targets'? (allowed: duration, targets, "
	 "window)"},
	{HEAD TARGETS, 1, 1,
	 "'method' is missing: the faults and their times, like method: [{at: 0s, for: 30s, "
	 "network: {target: store, delay: 100ms}}]"},
	{HEAD TARGETS "method: []\n", 5, 9,
	 "'method' is empty; write it like [{at: 0s, for: 30s, network: {target: store, delay: "
	 "100ms}}]"},
	{HEAD TARGETS "method: {at: 0s}\n", 5, 9, "'method' must be a list like *"},
	{ON_END("abort_when: []\n"), 7, 1,
	 "unknown key 'abort_when' in an experiment; did you mean 'abort-when'? (allowed: version, "
	 "title, hypothesis, *"},
	{ON_END("rolbacks: []\n"), 7, 1, "unknown key 'rolbacks' in an experiment; allowed: *"},
	{ON_END("rollbacks: []\n"), 7, 1, "unknown key 'rollbacks' in an experiment; allowed: *"},
	{ON_END("allow-idle: yes\n"), 7, 13, "allow-idle: 'yes' must be true or false"},
	{ON_END("hypothesis: \"a\\e[2Jb\"\n"), 7, 13,
	 "hypothesis: it contains a control character (code 27)"},
};

static const struct bad bad_probes[] = {
	{ON_PROBE("{htp: \"http://x/\"}\n"), 7, 7,
	 "unknown key 'htp' in probe 'p'; did you mean 'http'? (allowed: *"},
	{ON_PROBE("{every: 1s}\n"), 7, 6,
	 "probe 'p' has no kind; give one of: http, tcp, command, process, *"},
	{ON_PROBE("{http: \"http://x/\", tcp: \"x:1\"}\n"), 7, 26,
	 "a probe is of one kind: 'http' is already given in line 7"},
	{ON_PROBE("http://x/\n"), 7, 6,
	 "probe 'p' must be a mapping like {http: \"http://127.0.0.1/\", every: 1s, expect: "
	 "{status: 200}}, not a single value"},
	{ON_PROBE("{http: [\"http://x/\"]}\n"), 7, 13, "'http' must be: URL; here is a list"},
	{ON_PROBE("{http: }\n"), 7, 13, "'http' must be: URL; here is nothing"},
	{"version: 2\ntitel: t\nfuture: [x]\n", 1, 10,
	 "version 2 of the format is not known; this is squall " SQUALL_VERSION
	 ", which reads version 1"},
	{ON_PROBE("{command: \"redis-cli -p 6379  ping\"}\n"), 7, 16,
	 "'command' is a list of words, which no shell splits or expands; write [redis-cli, -p, "
	 "6379, ping]"},
	{ON_PROBE("{command: []}\n"), 7, 16,
	 "'command' is an empty list; it must be: [PROGRAM, ARGUMENT...]"},
	{ON_PROBE("{tcp: \"x:1\", every: 500}\n"), 7, 26,
	 "every: '500' has no unit; write 500ms or 500s (units: ns, us, ms, s, m, min, h, d)"},
	{ON_PROBE("{tcp: \"x:1\", every: 1ms}\n"), 7, 26,
	 "every: '1ms' is out of range: 10ms to 1h is allowed"},
	{ON_PROBE("{tcp: \"x:1\", timeout: 11m}\n"), 7, 28,
	 "timeout: '11m' is out of range: 1ms to 10m is allowed"},
	{ON_PROBE("{tcp: \"x:1\", interval: 1s}\n"), 7, 19,
	 "unknown key 'interval' in probe 'p'; allowed: *"},
	{ON_PROBE("{http: \"http://x/\", status: 200}\n"), 7, 26,
	 "unknown key 'status' in probe 'p'; it belongs in 'expect: {status: ...}'"},
	{ON_PROBE("{http: \"http://x/\", expect: {latncy: \"< 1s\"}}\n"), 7, 35,
	 "unknown key 'latncy' in 'expect' of probe 'p'; did you mean 'latency'? (allowed: *"},
	{ON_PROBE("{http: \"http://x/\", expect: {latency: 500}}\n"), 7, 44,
	 "latency: a comparison is written like \"< 1s\": '500' has no unit; write 500ms or 500s "
	 "(units: ns, us, ms, s, m, min, h, d)"},
	{ON_PROBE("{http: \"http://x/\", expect: {latency: 1s}}\n"), 7, 44,
	 "latency: '1s' asks for exactly this duration; write \"< 1s\""},
	{ON_PROBE("{http: \"http://x/\", expect: {status: [200, 204]}}\n"), 7, 43,
	 "'status' takes one value, not a list: comparison like \"< 60\", 200 or 200-299, "
	 "100 to 999"},
	{ON_PROBE("{http: \"http://x/\", expect: {status: 2000}}\n"), 7, 43,
	 "status: '2000' is out of range: 100 to 999 is allowed"},
	{ON_PROBE("{http: \"http://x/\", expect: 200}\n"), 7, 34,
	 "'expect' of probe 'p' must be a mapping like {status: ...}, not a single value"},
	{ON_PROBE("{http: \"http://x/\", expect: {latency:1s}}\n"), 7, 35,
	 "'latency:1s' needs a space after 'latency:'"},
	{ON_PROBE("{http: \"ftp://x/\"}\n"), 7, 13, "http: *"},
	{HEAD TARGETS METHOD "probes: {\"a b\": {tcp: \"x:1\"}}\n", 6, 10,
	 "'a b' cannot be the name of a probe: 1 to 63 letters, digits and _-. are allowed"},
};

static const struct bad bad_steps[] = {
	{ON_STEP("{at: 0s, for: 5s}\n"), 7, 5,
	 "the step has no fault; give one of: network, process, *"},
	{ON_STEP("{at: 0s, for: 5s, netwrk: {target: store}}\n"), 7, 23,
	 "unknown key 'netwrk' in a step; did you mean 'network'? (allowed: name, at, after, for, "
	 "*"},
	{ON_STEP("{at: 0s, for: 5s, delay: 100ms}\n"), 7, 23,
	 "unknown key 'delay' in a step; it belongs in the fault: 'network: {delay: ...}'"},
	{ON_STEP("{at: 0s, for: 5s, network: {target: store, delay: 1s}, process: {}}\n"), 7, 60,
	 "a step has one fault, and 'network' is already there in line 7; make it a step of its "
	 "own "
	 "(steps may overlap)"},
	{ON_STEP("{at: 0s, network: {target: store, delay: 100ms}}\n"), 7, 5,
	 "'for' is missing: how long 'network' lasts, like for: 30s"},
	{ON_STEP("{at: 0s, for: 5s, process: {target: orders, action: kill}}\n"), 7, 14,
	 "'process' (kill) acts at once and has no end: remove 'for'"},
	{ON_STEP("{at: 0s, process: {target: orders, action: pause}}\n"), 7, 5,
	 "'for' is missing: how long 'process' lasts, like for: 30s"},
	{ON_STEP("{at: 0s, for: 5s, network: {target: store, delay: 100}}\n"), 7, 55,
	 "delay: '100' has no unit; write 100ms or 100s (units: ns, us, ms, s, m, min, h, d)"},
	{ON_STEP("{at: 0s, for: 5s, network: {target: store, loss: 0.05}}\n"), 7, 54,
	 "loss: '0.05' has no unit; write 5% (or 0.05%, if that was meant)"},
	{ON_STEP("{at: 0s, for: 5s, network: {target: store, burst: 9kB, delay: 1s}}\n"), 7, 48,
	 "network: burst needs rate"},
	{ON_STEP("{at: 0s, for: 5s, network: {target: store, delay: 1s, peak-rate: 2mbit, rate: "
		 "1mbit, burst: 9kB, peak-burst: 9kB}}\n"),
	 7, 102,
	 "network: peak-burst is not below burst: all of it would pass at once, whatever peak-rate "
	 "is"},
	{ON_STEP("{at: 0s, for: 5s, network: {target: store, rate: 2mbit, peak-rate: 2mbit, burst: "
		 "9kB}}\n"),
	 7, 61, "network: peak-rate is not above rate: it is the rate at which a burst passes"},
	{ON_STEP("{at: 0s, for: 5s, network: {target: store, loss-every: 1}}\n"), 7, 60,
	 "loss-every: '1' is out of range: 2 to 1000000 is allowed"},
	{ON_STEP("{at: 0s, for: 5s, network: {target: store, rate: 0mbit}}\n"), 7, 54,
	 "rate: '0mbit' is out of range: 8bit to 1tbit is allowed"},
	{ON_STEP("{at: 0s, for: 5s, network: {target: store, rate: 1mbit, burst: 1B}}\n"), 7, 68,
	 "burst: '1B' is out of range: 1600B to 1GiB is allowed"},
	{ON_STEP("{at: 0s, for: 5s, network: {target: store, delay: 61m}}\n"), 7, 55,
	 "delay: '61m' is out of range: 0s to 1h is allowed"},
	{ON_STEP("{at: 0s, for: 5s, network: {target: store, seed: 1}}\n"), 7, 23,
	 "network: no effect: give *"},
	{ON_STEP("{at: 0s, for: 5s, network: {target: stor, delay: 1s}}\n"), 7, 41,
	 "there is no target 'stor'; did you mean 'store'?"},
	{ON_STEP("{at: 0s, for: 5s, network: {target: cart, delay: 1s}}\n"), 7, 41,
	 "there is no target 'cart'; there are: store, orders"},
	{ON_STEP("{at: 0s, for: 5s, network: {target: orders, delay: 1s}}\n"), 7, 41,
	 "target 'orders' selects processes; the fault 'network' works on traffic"},
	{ON_STEP("{at: 0s, for: 5s, network: {target: store, to: 10.0.0.1, delay: 1s}}\n"), 7, 48,
	 "'to' belongs to what is selected, and that is 'target: store'; write it there, under "
	 "'targets', or leave 'target' away"},
	{ON_STEP("{at: 0s, for: 5s, network: {delay: 1s}}\n"), 7, 23,
	 "'network' has no target: name one of 'targets' with 'target: NAME', or select here with: "
	 "to, to-file, local-port, local-address, protocol, protocol-number, tcp-flags, except, "
	 "except-file, except-local-port, except-local-address, share, share-of, vlan, neighbours, "
	 "allow-lockout, interface, *"},
	{ON_STEP("{at: 0s, for: 5s, network: {target: store, delay: 1s, for: 5s}}\n"), 7, 59,
	 "unknown key 'for' in fault 'network'; it stands beside 'network': {for: ..., network: "
	 "{...}}"},
	{ON_STEP("{at: 0s, for: 5s, network: {target: store, dealy: 1s, loss: 1%}}\n"), 7, 48,
	 "unknown key 'dealy' in fault 'network'; did you mean 'delay'? (allowed: *"},
	{ON_STEP("{at: 0s, for: 5s, network: {target: store, ramp: 1s, loss: 1%}}\n"), 7, 48,
	 "unknown key 'ramp' in fault 'network'; *"},
	{ON_STEP("{at: 0s, for: 5s, network: 5}\n"), 7, 32, "'network' must be a mapping like *"},
	{ON_STEP("{at: 58s, for: 5s, network: {target: store, delay: 1s}}\n"), 7, 5,
	 "the step ends after 63s, but 'limits' allows the whole run only 1m"},
	{ON_STEP("{at: 0s, for: 5s, network: {target: store, delay: 1s}}\n"
		 "  - {for: 5s, network: {target: store, loss: 1%}}\n"),
	 8, 5,
	 "'at' is missing: steps do not wait for one another, each says when it begins, like at: "
	 "30s or after: previous"},
	{ON_STEP("{at: 0s, process: {target: orders, signal: 99}}\n"), 7, 48,
	 "signal: '99' is not a signal; write KILL, TERM, HUP or a number"},
	{ON_STEP("{at: 0s, process: {count: 1}}\n"), 7, 23,
	 "'process' would select every process; say which: pid, pidfile, name, exe, command, user, "
	 "cgroup, unit, container or port"},
};

static const struct bad bad_conditions[] = {
	{ON_ABORT("{probe: shp, fails: 3}\n"), 8, 13,
	 "there is no probe 'shp'; did you mean 'shop'?"},
	{ON_ABORT("{probe: cart, fails: 3}\n"), 8, 13,
	 "there is no probe 'cart'; there are: shop, "
	 "api"},
	{HEAD TARGETS METHOD "abort-when: [{probe: x, fails: 3}]\n", 6, 22,
	 "there is no probe 'x': the file defines none under 'probes'"},
	{ON_ABORT("{probe: shop}\n"), 8, 5,
	 "'fails' is missing in an abort condition: failures in a row (3) or a share of the "
	 "attempts "
	 "(20%) (text)"},
	{ON_ABORT("{probe: shop, fails: 0}\n"), 8, 26,
	 "fails: '0' is out of range: 1 to 10000 failures in a row"},
	{ON_ABORT("{probe: shop, fails: 0.2}\n"), 8, 26,
	 "fails: '0.2' is neither a number of failures in a row (3) nor a share of the attempts "
	 "(20%)"},
	{ON_ABORT("{probe: shop, fails: 101%, over: 5s}\n"), 8, 26,
	 "fails: '101%' is out of range: more than 0% and at most 100%"},
	{ON_ABORT("{probe: shop, fails: 20%}\n"), 8, 5,
	 "'over' is missing: the time over which 20% of the attempts are counted, like over: 30s"},
	{ON_ABORT("{probe: shop, fails: 3, over: 5s}\n"), 8, 29,
	 "'over' goes with a share; 'fails: 3' means 3 failures in a row (write 'fails: 20%' for a "
	 "share)"},
	{ON_END("abort-when: {probe: shop, fails: 3}\n"), 7, 13,
	 "'abort-when' must be a list like [{probe: shop, fails: 3}], not a mapping"},
	{ON_END("steady-state: {require: [shop, sho], for: 5s}\n"), 7, 32,
	 "there is no probe 'sho'; did you mean 'shop'?"},
	{ON_END("steady-state: {require: [shop, shop], for: 5s}\n"), 7, 32,
	 "probe 'shop' is required twice"},
	{ON_END("steady-state: {require: shop}\n"), 7, 15,
	 "'for' is missing in 'steady-state': how long they must pass without a failure (duration, "
	 "1ns to 1d)"},
	{ON_END("steady-state: {require: shop, for: 5s, within: 3s}\n"), 7, 48,
	 "'within' (3s) is shorter than 'for' (5s): it could never be steady for so long"},
	{ON_END("recovery: {require: shop}\n"), 7, 11,
	 "'within' is missing in 'recovery': how soon after the method they must pass (duration, "
	 "1ns "
	 "to 1d)"},
	{ON_END("recovery: {require: shop, for: 3s, within: 5s}\n"), 7, 27,
	 "unknown key 'for' in 'recovery'; allowed: require, within, hold, weight"},
	{ON_END("steady-state: {require: shop, for: 58s}\n"), 3, 20,
	 "duration: the run takes at least 63s (steady-state 58s, method 5s, hold of the recovery "
	 "0s) and would be stopped before its end"},
};

TABLE_TEST(test_what_is_not_plain_text_is_refused, bad_text)
TABLE_TEST(test_syntax_errors_say_what_to_write, bad_syntax)
TABLE_TEST(test_mistakes_at_the_top, bad_root)
TABLE_TEST(test_mistakes_in_probes, bad_probes)
TABLE_TEST(test_mistakes_in_steps, bad_steps)
TABLE_TEST(test_mistakes_in_conditions, bad_conditions)

static void test_all_problems_come_at_once_in_the_order_of_the_file(void **state)
{
	static const char text[] =
		HEAD "probes: {a: {http: \"http://x/\", every: 5}}\n"
		     "method:\n"
		     "  - {at: 0s, for: 5s, network: {target: store, delay: 1}}\n"
		     "targets: {store: {to: 1.2.3}}\n"
		     "steady-state: {require: [b], for: 2s}\n";
	static const int lines[] = {4, 6, 7, 8};
	struct experiment *experiment = NULL;
	struct yaml_problems problems;
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(
		yaml_parse_experiment(text, strlen(text), "x.yaml", &experiment, &problems, &err),
		-EINVAL);
	assert_int_equal(problems.count, 4);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(problems.list[i].line, lines[i]);
	assert_string_equal(err.text,
			    "x.yaml:4:40: every: '5' has no unit; write 5ms or 5s (units: "
			    "ns, us, ms, s, m, min, h, d)");
	yaml_problems_free(&problems);
}

static void test_nul_bytes_and_large_files_are_refused(void **state)
{
	static char text[EXPERIMENT_FILE_MAX + 2];
	struct experiment *experiment = NULL;
	struct yaml_problems problems;

	(void)state;
	assert_int_equal(
		yaml_parse_experiment("title: a\0b", 10, "x", &experiment, &problems, NULL),
		-EINVAL);
	assert_int_equal(problems.list[0].column, 9);
	assert_string_equal(problems.list[0].text,
			    "a NUL byte; an experiment is a text file in UTF-8");
	yaml_problems_free(&problems);

	memset(text, 'x', sizeof(text));
	assert_int_equal(yaml_parse_experiment(text, EXPERIMENT_FILE_MAX + 1, "x", &experiment,
					       &problems, NULL),
			 -EINVAL);
	assert_string_equal(problems.list[0].text,
			    "the file has 2097153 bytes; at most 2097152 are allowed");
	yaml_problems_free(&problems);
}

static void test_problems_are_limited_and_carry_no_control_characters(void **state)
{
	static char text[100000] = HEAD TARGETS METHOD;
	size_t used = strlen(text);
	struct experiment *experiment = NULL;
	struct yaml_problems problems;

	(void)state;
	for (unsigned i = 0; i < 2000; i++)
		used += (size_t)snprintf(text + used, sizeof(text) - used, "\"\\e[2J%u\": 1\n", i);
	assert_int_equal(yaml_parse_experiment(text, used, "x", &experiment, &problems, NULL),
			 -EINVAL);
	assert_true(problems.count < 100);
	assert_non_null(strstr(problems.list[0].text, "unknown key '?[2J0'"));
	assert_int_equal(problems.list[problems.count - 1].line, 0);
	assert_non_null(strstr(problems.list[problems.count - 1].text, "more problems"));
	yaml_problems_free(&problems);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_not_plain_text_is_refused),
		cmocka_unit_test(test_syntax_errors_say_what_to_write),
		cmocka_unit_test(test_mistakes_at_the_top),
		cmocka_unit_test(test_mistakes_in_probes),
		cmocka_unit_test(test_mistakes_in_steps),
		cmocka_unit_test(test_mistakes_in_conditions),
		cmocka_unit_test(test_all_problems_come_at_once_in_the_order_of_the_file),
		cmocka_unit_test(test_nul_bytes_and_large_files_are_refused),
		cmocka_unit_test(test_problems_are_limited_and_carry_no_control_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
