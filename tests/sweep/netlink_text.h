/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * What a network namespace holds, as text: every dump that rtnetlink and nf_tables give, attribute
 * by attribute, without interpreting more than is needed to leave the counters out. A kind of
 * object that nobody has thought of is seen all the same.
 */
#ifndef SQUALL_TESTS_NETLINK_TEXT_H
#define SQUALL_TESTS_NETLINK_TEXT_H

#include <stdio.h>

struct netlink;
struct netlink_text {
	int route, netfilter; /* sockets in the namespace */
	struct netlink *counting;
};

void netlink_text_open(struct netlink_text *out, int namespace_fd);
/* `held`: nf_tables. `recorded`: what existed beforehand, such as lo with its settings. `inert`:
 * interfaces of the kinds that squall makes, and what hangs on them. */
void netlink_text_write(const struct netlink_text *text, FILE *held, FILE *recorded, FILE *inert);

#endif
