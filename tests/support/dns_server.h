/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * A real DNS server (dnsmasq) in the far namespace of a netlab, and questions to it. It answers
 * every name below .test: A 192.0.2.1, AAAA 2001:db8::1. Failures are cmocka failures.
 */
#ifndef SQUALL_TESTS_DNS_SERVER_H
#define SQUALL_TESTS_DNS_SERVER_H

#include "faults/dns_message.h"
#include "tests/support/netlab.h"

/* Starts it on 10.88.0.2, .3, fd88::2, ::3 port 53 (and 127.0.0.53 in near), and waits until it
 * answers. */
void dns_servers_start(struct netlab *lab);
void dns_servers_stop(void);
/* Instead of those: one on 10.88.0.2 that answers with what is in a file like /etc/hosts, which the
 * caller keeps, and NXDOMAIN for the rest of .test. It must know here.test. */
void dns_hosts_start(struct netlab *lab, const char *path);
/* What it answers with from now on (but for a moment). */
void dns_hosts_write(const char *text);
/* SIGSTOP: it hangs. */
void dns_servers_signal(int signal);

struct dns_ask {
	const char *server; /* default 10.88.0.2 */
	uint16_t port;	    /* default 53 */
	const char *name;
	uint16_t type; /* default A */
	bool over_tcp;
	int timeout_ms; /* default 3000 */
	int fd;		/* > 0: a connected socket to ask from */
};

/* What came back. rcode -1: nothing, -2: refused or reset. */
struct dns_reply {
	int rcode;
	unsigned answers;
	bool is_truncated;
	char address[64]; /* of the first record, if it is one */
	int64_t took_ns;
	uint8_t bytes[4096];
	size_t size;
};
struct dns_reply dns_ask(const struct netlab *lab, const struct dns_ask *ask);
#define DNS_ASK(lab, ...) dns_ask(lab, &(struct dns_ask){__VA_ARGS__})

/* A query as bytes; its size. */
size_t dns_query(const char *name, uint16_t type, uint16_t id, uint8_t out[512]);
/* A connected socket of the near namespace. */
int dns_socket(const struct netlab *lab, const char *server, uint16_t port, int type);

#endif
