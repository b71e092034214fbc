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

static const struct bad bad_targets[] = {
	{ON_TARGET("{too: 10.0.0.1}\n"), 8, 7,
	 "unknown key 'too' in target 't'; did you mean 'to'? (allowed: to, *"},
	{ON_TARGET("{to: 10.0.0.1/24}\n"), 8, 11,
	 "to: '10.0.0.1/24' has bits set behind its prefix; the network is 10.0.0.0/24"},
	{ON_TARGET("{to: [10.0.0.1, [10.0.0.2]]}\n"), 8, 22,
	 "'to' must be: list of endpoint; this is a list in a list"},
	{ON_TARGET("{to: {a: 10.0.0.1}}\n"), 8, 11,
	 "'to' must be: list of endpoint; this is a "
	 "mapping"},
	{ON_TARGET("{to: []}\n"), 8, 11, "'to' is an empty list"},
	{ON_TARGET("{to: [10.0.0.1, ~]}\n"), 8, 22,
	 "'to' has no value; it must be: list of endpoint"},
	{ON_TARGET("10.0.0.1\n"), 8, 6,
	 "target 't' must be a mapping like {to: 10.0.5.0/24:443} for traffic, {process: {name: "
	 "nginx}} for processes, {file: {path: /etc/app.conf}} for a file, not a single value"},
	{ON_TARGET("{name: nginx}\n"), 8, 7,
	 "unknown key 'name' in target 't'; processes are selected by 'process: {name: ...}'"},
	/* the step that uses it is not blamed as well */
	{HEAD "targets:\n  t: {name: nginx}\nmethod:\n  - {at: 0s, process: {target: t}}\n", 5, 7,
	 "unknown key 'name' in target 't'; processes are selected by 'process: {name: ...}'"},
	{ON_TARGET("{process: {name: nginx}, count: 1}\n"), 8, 31,
	 "target 't' selects processes; 'count' cannot stand beside 'process' (keys of the "
	 "selector "
	 "go into it)"},
	/* the cause, and not what follows from it */
	{ON_TARGET("{process: {nme: nginx}}\n"), 8, 17,
	 "unknown key 'nme' in target 't'; did you mean 'name'? (allowed: pid, pidfile, name, exe, "
	 "command, user, cgroup, unit, container, port, namespace, count, share, allow-critical)"},
	{HEAD TARGETS "method:\n  - {at: 0s, for: 1s, network: {target: *t, delay: 1ms}}\n", 6, 41,
	 "aliases are not allowed ('*t'); a value that begins with '*' goes in quotes: \"*:443\""},
	{ON_TARGET("{process: {count: 1}}\n"), 8, 16,
	 "target 't' would select every process; say which: pid, pidfile, name, exe, command, "
	 "user, "
	 "cgroup, unit, container or port"},
	{ON_TARGET("{to: 10.0.0.1, tcp-flags: [fin, sin]}\n"), 8, 38,
	 "tcp-flags: 'sin' is not known; did you mean 'fin'? (one of fin, syn, rst, psh, ack, urg, "
	 "ece, cwr, !fin, !syn, !rst, !psh, !ack, !urg, !ece, !cwr)"},
	{ON_TARGET("{to: 10.0.0.1, vlan: [12, 13]}\n"), 8, 27,
	 "'vlan' takes one value, not a list: number, 1 to 4094 (several: a target and a step for "
	 "each)"},
	{ON_TARGET("{to: 10.0.0.1, share-of: addresses}\n"), 8, 31,
	 "`share-of` says what `share` draws, but there is no `share`"},
	{ON_TARGET("{to: 10.0.0.1, tcp-flags: [syn, '!syn']}\n"), 8, 33,
	 "tcp-flags: no packet has syn, and has it not"},
	{ON_TARGET("{to: 10.0.0.1, tcp-flags: fin, protocol: [tcp, udp]}\n"), 8, 32,
	 "tcp-flags selects packets of tcp alone, and protocol names udp: leave protocol out"},
	{ON_TARGET("{to: 10.0.0.1, tcp-flags: fin, protocol-number: 17}\n"), 8, 32,
	 "tcp-flags selects packets of tcp (6) alone, and protocol-number names 17: leave it out"},
	{HEAD "targets:\n  t: {to: 10.0.0.1, tcp-flags: [syn]}\nmethod:\n"
	      "  - {at: 0s, for: 1s, dns: {target: t, name: x, answer: nxdomain}}\n",
	 5, 33,
	 "tcp-flags selects single packets, which 'dns' does not see: leave it out, or use "
	 "network"},
	{HEAD "targets:\n  t: {to: 10.0.0.1, vlan: 5}\nmethod:\n"
	      "  - {at: 0s, for: 1s, http: {target: t, answer: 503}}\n",
	 5, 27,
	 "http: vlan: requests are chosen by server, by what is asked and by who asks, and this "
	 "cannot be given; remedy: leave it out; what can be given: to, to-file, local-port, "
	 "local-address, protocol, protocol-number, except, except-file, *"},
	{HEAD "targets:\n  t: {local-port: 8080, unit: nginx}\nmethod:\n"
	      "  - {at: 0s, for: 1s, http: {target: t, answer: 503}}\n",
	 5, 31,
	 "http: unit: with local-port requests are met where they arrive, whoever has sent them "
	 "and "
	 "whoever serves them; remedy: leave it out: local-port alone is everybody's requests to "
	 "it; `to` chooses clients by address"},
	{HEAD "targets:\n  t: {local-port: 8080, interface: lo}\nmethod:\n"
	      "  - {at: 0s, for: 1s, http: {target: t, answer: 503}}\n",
	 5, 36,
	 "http: interface: with local-port it is not known by which interface a request came; "
	 "remedy: leave it out; local-address chooses the servers' addresses, `to` the clients'"},
	{HEAD "targets:\n  t: {local-address: 10.0.0.1}\nmethod:\n"
	      "  - {at: 0s, for: 1s, http: {target: t, answer: 503}}\n",
	 5, 22,
	 "http: local-address: it is about servers on this side, and which ones is said by "
	 "local-port; remedy: add local-port: 80; requests that are sent from here are chosen by "
	 "`to`"},
	{HEAD "targets:\n  t: {to: 10.0.0.1, protocol: [tcp, udp]}\nmethod:\n"
	      "  - {at: 0s, for: 1s, http: {target: t, answer: 503}}\n",
	 5, 32, "http: protocol: HTTP/1 is spoken over tcp alone; remedy: leave it out"},
	{HEAD "targets:\n  t: {to: 10.0.0.1, interface: eth0}\nmethod:\n"
	      "  - {at: 0s, for: 1s, http: {target: t, answer: 503, reset-connections: true}}\n",
	 5, 32,
	 "http: interface: reset-connections does not know which connections leave by it; remedy: "
	 "leave one of them out"},
	{HEAD "method:\n  - {at: 0s, for: 1s, http: {to: 10.0.0.1, answer: 503, abort: true}}\n", 5,
	 57,
	 "http: abort: a request that is aborted gets no answer; remedy: give `answer` or `abort`"},
	{HEAD "method:\n  - {at: 0s, for: 1s, dns: {to: 10.0.0.1, except: 10.0.0.2, name: x}}\n", 5,
	 51,
	 "dns: except: queries are chosen by server, name and asker, and this cannot be given; "
	 "remedy: leave it out; what can be given: to, to-file, protocol, protocol-number, "
	 "interface, namespace, cgroup, unit, container, container-count, of"},
	{HEAD "method:\n  - {at: 0s, for: 1s, dns: {to: 10.0.0.1, protocol: icmp, name: x}}\n", 5,
	 53, "dns: protocol: DNS is asked over udp and tcp alone; remedy: leave it out"},
	{HEAD "method:\n  - {at: 0s, for: 1s, port: {local-port: 80, local-address: 10.0.0.2, "
	      "action: occupy}}\n",
	 5, 61,
	 "port: local-address: ports are taken at every address of this side, from everybody in "
	 "the network namespace, and this cannot be given; *"},
	{HEAD "method:\n  - {at: 0s, for: 1s, port: {to: 10.0.0.1, action: occupy}}\n", 5, 23,
	 "port: action: occupy needs a target with `local-port`; remedy: name the ports: "
	 "local-port: 8080"},
	{HEAD "method:\n  - {at: 0s, for: 1s, port: {local-port: 80, action: exhaust}}\n", 5, 23,
	 "port: action: exhaust needs a target with `to`; remedy: name the far sides to which *"},
	{HEAD "method:\n  - {at: 0s, for: 1s, port: {to: [10.0.0.1:80, 10.0.0.0/30:80], action: "
	      "exhaust}}\n",
	 5, 48, "port: to: '10.0.0.0/30:80' is not one address with one port; remedy: *"},
	{HEAD "method:\n  - {at: 0s, for: 1s, port: {to: \"a.test\", action: exhaust}}\n", 5, 34,
	 "port: to: 'a.test' is not one address with one port; remedy: *"},
	{HEAD "method:\n  - {at: 0s, for: 1s, port: {to: \"*:80\", action: exhaust}}\n", 5, 34,
	 "port: to: '*:80' is not one address with one port; remedy: *"},
	{HEAD
	 "method:\n  - {at: 0s, for: 1s, port: {local-port: 80, protocol: sctp, action: occupy}}\n",
	 5, 56, "port: protocol: ports are taken of tcp and udp alone; remedy: leave it out"},
	{HEAD "method:\n  - {at: 0s, for: 1s, port: {to: 10.0.0.1:80, protocol: udp, action: "
	      "exhaust}}\n",
	 5, 57,
	 "port: ports towards one far side run out with tcp alone; remedy: leave protocol out"},
	{HEAD
	 "method:\n  - {at: 0s, for: 1s, port: {local-port: [80, 1000-1999], action: occupy}}\n",
	 5, 47, "port: local-port: more than 1000 ports; remedy: name fewer of them"},
	{HEAD
	 "method:\n  - {at: 0s, for: 1s, port: {local-port: 80, to: 10.0.0.1, action: occupy}}\n",
	 5, 50, "port: to: a port is taken whoever is at the other side; remedy: *"},
	{HEAD "method:\n  - {at: 0s, for: 1s, port: {to: 10.0.0.1:80, local-port: 80, action: "
	      "exhaust}}\n",
	 5, 59, "port: local-port: `action: exhaust` takes every local port; remedy: *"},
	{HEAD
	 "method:\n  - {at: 0s, for: 1s, port: {local-port: 80, unit: nginx, action: occupy}}\n",
	 5, 52,
	 "port: unit: ports are taken at every address of this side, from everybody in the network "
	 "namespace, and this cannot be given; remedy: leave it out; what can be given: to, "
	 "to-file, local-port, protocol, protocol-number, namespace, container"},
	{HEAD
	 "method:\n  - {at: 0s, for: 1s, dns: {to: 10.0.0.1, allow-lockout: true, name: a.test}}\n",
	 5, 58, "dns: allow-lockout: queries are chosen by server, *"},
	{ON_TARGET("{to: 10.0.0.1, namespace: \"target:stor\"}\n"), 8, 32,
	 "there is no target 'stor'; did you mean 'store'?"},
	{ON_TARGET("{to: 10.0.0.1, namespace: \"target:store\"}\n"), 8, 32,
	 "namespace: target 'store' selects traffic; only processes have a namespace"},
	{ON_TARGET("{local-address: [10.0.0.1, \"10.0.0.2:80\"]}\n"), 8, 33,
	 "local-address: '10.0.0.2:80' has a port; only an address or a network is allowed here"},
	{ON_TARGET("{except-local-address: store}\n"), 8, 29,
	 "except-local-address: 'store' is neither an address nor a network; write 10.0.5.7, "
	 "10.0.5.0/24 or 2001:db8::/64"},
	{ON_TARGET("{to: 10.0.0.1, local-address: [\"2001:db8::/64\"]}\n"), 8, 37,
	 "local-address: nothing matches: it has addresses of IPv6 alone, `to` of IPv4; remedy: *"},
	{ON_TARGET("{to: 10.0.0.1, protocol: icmpv6}\n"), 8, 31,
	 "nothing matches: icmpv6 is of IPv6, and the addresses are of IPv4; remedy: write icmp, "
	 "*"},
	{ON_TARGET("{to: [10.0.0.1, \"*:80\"], protocol: icmp}\n"), 8, 22,
	 "to: *:80 selects by a port, and protocol icmp has none; remedy: leave the port out, or "
	 "name a protocol that has ports: tcp, udp, sctp"},
	{ON_TARGET("{to: \"store.test:80\", protocol-number: 47}\n"), 8, 11,
	 "to: store.test:80 selects by a port, and protocol-number 47 has none; remedy: *"},
	{ON_TARGET("{local-port: 80, protocol: icmp}\n"), 8, 19,
	 "local-port: 80 selects by a port, and protocol icmp has none; remedy: *"},
	{ON_TARGET("{except-local-port: 1-9, protocol: icmp}\n"), 8, 26,
	 "except-local-port: 1-9 selects by a port, and protocol icmp has none; remedy: *"},
	{ON_TARGET("{to: 10.0.0.1, share: 0%}\n"), 8, 28,
	 "share: '0%' is out of range: 0.0000001% to 100% is allowed"},
	{ON_TARGET("{to: 10.0.0.0/8, except: [10.1.0.0/16, \"*\"]}\n"), 8, 45,
	 "except: '*' leaves out everything; remedy: give a port of everybody (\"*:22\"), an "
	 "address or a network"},
	{ON_TARGET("{to: 10.0.0.1, except: 10.0.0.1}\n"), 8, 29,
	 "except: nothing is left of what `to` selects; remedy: leave out less than is selected"},
	{ON_TARGET("{to: [\"10.1.0.0/16:80\", \"[fd00::1]:443\", \"a.test:5\"], except: "
		   "[10.0.0.0/8, \"*:400-500\", \"A.test:5\"]}\n"),
	 8, 69, "except: nothing is left of what `to` selects; *"},
	{ON_TARGET("{interface: eth0, except: [0.0.0.0/0, \"::/0\"]}\n"), 8, 33,
	 "except: nothing is left of what `to` selects; *"},
	{ON_TARGET("{local-address: 10.0.0.0/24, except-local-address: 10.0.0.0/8}\n"), 8, 57,
	 "except-local-address: nothing is left of what `local-address` selects; *"},
	{ON_TARGET("{local-port: [80, 81-90], except-local-port: 1-1023}\n"), 8, 51,
	 "except-local-port: nothing is left of what `local-port` selects; *"},
	{ON_TARGET("{to: 10.0.0.1, unit: nginx, neighbours: true}\n"), 8, 46,
	 "neighbours: ARP and neighbour discovery are the kernel's own, not of any unit; *"},
	{HEAD "targets:\n  t: {to: 10.0.0.1, vlan: 5}\nmethod:\n  - {at: 0s, network: {target: "
	      "t, reset-connections: true}}\n",
	 5, 27,
	 "network: vlan is a tag of packets, and reset-connections ends connections, of which it "
	 "is not known; remedy: leave one of them out, or write partition: reset, which ends "
	 "those that send something"},
	{HEAD "method:\n  - {at: 0s, network: {to: 10.0.0.1, vlan: 5, reset-connections: true}}\n",
	 5, 44, "network: vlan is a tag of packets, and reset-connections ends *"},
	{HEAD "method:\n  - {at: 0s, network: {to: 10.0.0.1, tcp-flags: fin, reset-connections: "
	      "true}}\n",
	 5, 49, "network: tcp-flags selects packets, and reset-connections ends *"},
	{HEAD
	 "method:\n  - {at: 0s, network: {to: 10.0.0.1, protocol: udp, reset-connections: true}}\n",
	 5, 48,
	 "network: reset-connections: only tcp has connections, and the target selects udp; "
	 "remedy: leave protocol out, or name tcp"},
	{HEAD
	 "method:\n  - {at: 0s, for: 1s, network: {to: 10.0.0.1, protocol: udp, segment: 9B}}\n",
	 5, 57, "network: segment cuts what TCP sends, and the target selects udp; remedy: *"},
	{HEAD
	 "method:\n  - {at: 0s, for: 1s, network: {to: 10.0.0.1, unit: a, vlan: 5, loss: 1%}}\n",
	 5, 62,
	 "network: vlan: packets of a unit leave by the interface of the VLAN, without a tag; *"},
	{ON_TARGET("{to: 10.0.0.1, of: stor}\n"), 8, 25,
	 "there is no target 'stor'; did you mean 'store'?"},
	{ON_TARGET("{to: 10.0.0.1, of: store}\n"), 8, 25,
	 "of: target 'store' selects no processes"},
	{ON_TARGET("{to: 10.0.0.1, unit: nginx, container: web}\n"), 8, 45,
	 "unit and container: whose traffic it is can be said in one way only"},
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
	 "to, *"},
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
TABLE_TEST(test_mistakes_in_targets, bad_targets)
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
		cmocka_unit_test(test_mistakes_in_targets),
		cmocka_unit_test(test_mistakes_in_steps),
		cmocka_unit_test(test_mistakes_in_conditions),
		cmocka_unit_test(test_all_problems_come_at_once_in_the_order_of_the_file),
		cmocka_unit_test(test_nul_bytes_and_large_files_are_refused),
		cmocka_unit_test(test_problems_are_limited_and_carry_no_control_characters),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
