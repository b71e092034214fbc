/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Bad targets in files, and the exact words about them; see test_yaml.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/support/bad_files.h"

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
	 "command, user, cgroup, unit, container, port, namespace, count, share, allow-critical, "
	 "follow)"},
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
	{ON_TARGET("{to: a.test, follow-every: 2s}\n"), 8, 33,
	 "`follow-every` says how often `follow` looks, but nothing is followed; remedy: add "
	 "follow: true"},
	{ON_TARGET("{to: a.test, follow: false, follow-every: 2s}\n"), 8, 48,
	 "`follow-every` says how often `follow` looks, but nothing is followed; *"},
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
	{HEAD "targets:\n  t: {local-port: 8080, follow: true}\nmethod:\n"
	      "  - {at: 0s, for: 1s, http: {target: t, answer: 503}}\n",
	 5, 33,
	 "http: follow: with local-port the addresses that it begins with are kept; remedy: leave "
	 "it out"},
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
	 "to-file, local-port, protocol, protocol-number, namespace, container, container-count"},
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

TABLE_TEST(test_mistakes_in_targets, bad_targets)

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_mistakes_in_targets)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
