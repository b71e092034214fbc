/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/sweep/netlink_text.h"

#include "injector/kernel/conntrack.h"
#include "injector/kernel/namespace.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/fib_rules.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LINKS_MAX 256

struct dump {
	const char *name;
	uint16_t type;
	uint16_t head;	  /* bytes in front of the attributes */
	uint16_t skip[4]; /* attributes that change by themselves; 0: end */
};

/* Of the links seen: an object on an inert link is inert. */
struct links {
	int index[LINKS_MAX];
	unsigned count;
};

struct sink {
	FILE *held, *recorded, *inert;
	struct links inert_links;
	int links[LINKS_MAX];
	unsigned link_count;
};

static int open_one(void *context, struct error *err)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, *(int *)context), size = 1 << 20;

	if (fd < 0)
		return error_errno(err, errno, "netlink");
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	return fd;
}

static int open_in(int namespace_fd, int protocol)
{
	struct error err = ERROR_INIT;
	int fd = namespace_run(namespace_fd, open_one, &protocol, &err);

	if (fd < 0) {
		fprintf(stderr, "%s\n", err.text);
		abort();
	}
	return fd;
}

void netlink_text_open(struct netlink_text *out, int namespace_fd)
{
	struct error err = ERROR_INIT;

	out->route = open_in(namespace_fd, NETLINK_ROUTE);
	out->netfilter = open_in(namespace_fd, NETLINK_NETFILTER);
	if (netlink_open_netfilter(namespace_fd, &out->counting, &err) < 0) {
		fprintf(stderr, "%s\n", err.text);
		abort();
	}
}

static void put_hex(FILE *out, const void *data, size_t size)
{
	const uint8_t *bytes = data;
	bool is_text = size > 1 && !bytes[size - 1];

	for (size_t at = 0; is_text && at + 1 < size; at++)
		is_text = bytes[at] > ' ' && bytes[at] < 127;
	if (is_text) {
		fputs(data, out);
		return;
	}
	for (size_t at = 0; at < size; at++)
		fprintf(out, "%02x", bytes[at]);
}

#define each_attribute(attr, start, left)                                                          \
	for (const struct nlattr *attr = (start);                                                  \
	     (left) >= NLA_HDRLEN && attr->nla_len >= NLA_HDRLEN && attr->nla_len <= (left);       \
	     (left) -= NLA_ALIGN(attr->nla_len), attr = (const void *)((const char *)attr +        \
								       NLA_ALIGN(attr->nla_len)))

static const struct nlattr *find(const struct nlattr *start, int left, unsigned type)
{
	each_attribute(attr, start, left) if ((attr->nla_type & NLA_TYPE_MASK) == type) return attr;
	return NULL;
}

static const void *payload(const struct nlattr *attr)
{
	return (const char *)attr + NLA_HDRLEN;
}

/* Of the address families' attributes only the IPv4 settings: those of IPv6 hold counters. */
static void put_families(FILE *out, const struct nlattr *families)
{
	const struct nlattr *four =
		find(payload(families), families->nla_len - NLA_HDRLEN, AF_INET);

	if (four) {
		fputs(" inet=", out);
		put_hex(out, payload(four), four->nla_len - NLA_HDRLEN);
	}
}

static bool is_skipped(const struct dump *dump, unsigned type)
{
	for (unsigned i = 0; i < 4 && dump->skip[i]; i++)
		if (dump->skip[i] == type)
			return true;
	return false;
}

static bool is_inert_kind(const struct nlattr *attrs, int left)
{
	const struct nlattr *info = find(attrs, left, IFLA_LINKINFO), *kind = NULL;

	if (info)
		kind = find(payload(info), info->nla_len - NLA_HDRLEN, IFLA_INFO_KIND);
	return kind && (strcmp(payload(kind), "ifb") == 0 || strcmp(payload(kind), "tun") == 0);
}

/* fq_codel and its kin tell each flow of the moment as a class. */
static bool is_flow(const struct nlattr *attrs, int left)
{
	static const char *const kinds[] = {"fq_codel", "fq_pie", "sfq", "cake"};
	const struct nlattr *kind = find(attrs, left, TCA_KIND);

	for (unsigned i = 0; kind && i < sizeof(kinds) / sizeof(*kinds); i++)
		if (strcmp(payload(kind), kinds[i]) == 0)
			return true;
	return false;
}

static const struct nlattr *inside(const struct nlattr *nest, unsigned type)
{
	return nest ? find(payload(nest), nest->nla_len - NLA_HDRLEN, type) : NULL;
}

/* The IPv4 or IPv6 address of that kind. */
static const struct nlattr *address_of(const struct nlattr *tuple, unsigned v4, unsigned v6)
{
	const struct nlattr *ip = inside(tuple, CTA_TUPLE_IP), *found = inside(ip, v4);

	return found ? found : inside(ip, v6);
}

static bool is_loopback(const struct nlattr *address)
{
	static const uint8_t one[16] = {[15] = 1};
	const uint8_t *bytes = payload(address);

	return address->nla_len == NLA_HDRLEN + 4 ? bytes[0] == 127
						  : memcmp(bytes, one, sizeof(one)) == 0;
}

/* Who comes from that port to that place is led to this machine itself: by nobody any more, when
 * all is restored. In a zone of its own nobody comes. What else is tracked, also what a responder
 * itself has opened, leads where it was meant to, as without it. */
static void put_flow(FILE *out, const struct nlattr *attrs, int left)
{
	const struct nlattr *there = find(attrs, left, CTA_TUPLE_ORIG),
			    *back = find(attrs, left, CTA_TUPLE_REPLY),
			    *meant = address_of(there, CTA_IP_V4_DST, CTA_IP_V6_DST),
			    *answers = address_of(back, CTA_IP_V4_SRC, CTA_IP_V6_SRC),
			    *port = inside(inside(back, CTA_TUPLE_PROTO), CTA_PROTO_SRC_PORT);
	uint16_t number;

	if (find(attrs, left, CTA_ZONE) || !meant || !answers || !port || !is_loopback(answers) ||
	    (meant->nla_len == answers->nla_len &&
	     memcmp(payload(meant), payload(answers), meant->nla_len - NLA_HDRLEN) == 0))
		return;
	memcpy(&number, payload(port), sizeof(number));
	fputs("flow to ", out);
	put_hex(out, payload(meant), meant->nla_len - NLA_HDRLEN);
	fprintf(out, " is led to our port %u\n", ntohs(number));
}

static const struct dump flows = {"flow", IPCTNL_MSG_CT_GET, sizeof(struct nfgenmsg), {0}};

static FILE *choose(struct sink *sink, const struct dump *dump, const struct nlmsghdr *message)
{
	const void *body = NLMSG_DATA(message);
	const struct nlattr *attrs = (const void *)((const char *)body + dump->head);
	int left = (int)message->nlmsg_len - NLMSG_HDRLEN - dump->head, index;

	if (dump->type == RTM_GETLINK) {
		index = ((const struct ifinfomsg *)body)->ifi_index;
		if (sink->link_count < LINKS_MAX)
			sink->links[sink->link_count++] = index;
		if (!is_inert_kind(attrs, left))
			return sink->recorded;
		if (sink->inert_links.count < LINKS_MAX)
			sink->inert_links.index[sink->inert_links.count++] = index;
		return sink->inert;
	}
	if (dump->type == RTM_GETQDISC || dump->type == RTM_GETTCLASS)
		index = ((const struct tcmsg *)body)->tcm_ifindex;
	else if (dump->type == RTM_GETADDR)
		index = (int)((const struct ifaddrmsg *)body)->ifa_index;
	else
		index = 0;
	for (unsigned i = 0; i < sink->inert_links.count; i++)
		if (sink->inert_links.index[i] == index)
			return sink->inert;
	return sink->recorded;
}

static void put(struct sink *sink, const struct dump *dump, const struct nlmsghdr *message,
		FILE *out)
{
	const uint8_t *body = NLMSG_DATA(message);
	const struct nlattr *attrs = (const void *)(body + dump->head);
	int left = (int)message->nlmsg_len - NLMSG_HDRLEN - dump->head;

	if (dump->type == RTM_GETTCLASS && is_flow(attrs, left))
		return;
	if (dump == &flows) {
		put_flow(out, attrs, left);
		return;
	}
	if (!out)
		out = choose(sink, dump, message);
	fprintf(out, "%s ", dump->name);
	put_hex(out, body, dump->head);
	each_attribute(attr, attrs, left)
	{
		unsigned type = attr->nla_type & NLA_TYPE_MASK;

		if (is_skipped(dump, type))
			continue;
		if (dump->type == RTM_GETLINK && type == IFLA_AF_SPEC) {
			put_families(out, attr);
			continue;
		}
		fprintf(out, " %u=", type);
		put_hex(out, payload(attr), attr->nla_len - NLA_HDRLEN);
	}
	fputc('\n', out);
}

/* One dump, of a link's objects below a parent or of all; `out` NULL: where it belongs. */
static void ask(struct sink *sink, int fd, const struct dump *dump, uint16_t type,
		const struct tcmsg *of, FILE *out)
{
	static char buffer[1 << 17] __attribute__((aligned(8)));
	struct {
		struct nlmsghdr header;
		char body[32];
	} request = {.header = {.nlmsg_len = NLMSG_LENGTH(dump->head),
				.nlmsg_type = type,
				.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP}};

	if (of)
		memcpy(request.body, of, sizeof(*of));
	if (send(fd, &request, request.header.nlmsg_len, 0) < 0)
		return;
	for (;;) {
		ssize_t size = recv(fd, buffer, sizeof(buffer), 0);
		const struct nlmsghdr *message = (const void *)buffer;

		if (size <= 0)
			return;
		for (int left = (int)size; NLMSG_OK(message, left);
		     message = NLMSG_NEXT(message, left)) {
			if (message->nlmsg_type == NLMSG_DONE || message->nlmsg_type == NLMSG_ERROR)
				return;
			put(sink, dump, message, out);
		}
	}
}

static const struct dump links = {
	"link", RTM_GETLINK, sizeof(struct ifinfomsg), {IFLA_STATS, IFLA_STATS64}};
static const struct dump others[] = {
	{"address", RTM_GETADDR, sizeof(struct ifaddrmsg), {IFA_CACHEINFO}},
	{"route", RTM_GETROUTE, sizeof(struct rtmsg), {RTA_CACHEINFO}},
	{"rule", RTM_GETRULE, sizeof(struct fib_rule_hdr), {0}},
	{"qdisc", RTM_GETQDISC, sizeof(struct tcmsg), {TCA_STATS, TCA_XSTATS, TCA_STATS2}},
};
static const struct dump classes = {
	"class", RTM_GETTCLASS, sizeof(struct tcmsg), {TCA_STATS, TCA_XSTATS, TCA_STATS2}};
/* the options of a filter hold the times of its actions */
static const struct dump filters = {"filter",
				    RTM_GETTFILTER,
				    sizeof(struct tcmsg),
				    {TCA_STATS, TCA_XSTATS, TCA_STATS2, TCA_OPTIONS}};
static const struct dump tables[] = {
	{"nft table", NFT_MSG_GETTABLE, sizeof(struct nfgenmsg), {0}},
	{"nft chain", NFT_MSG_GETCHAIN, sizeof(struct nfgenmsg), {NFTA_CHAIN_COUNTERS}},
	{"nft rule", NFT_MSG_GETRULE, sizeof(struct nfgenmsg), {0}},
	{"nft set", NFT_MSG_GETSET, sizeof(struct nfgenmsg), {0}},
	{"nft object", NFT_MSG_GETOBJ, sizeof(struct nfgenmsg), {0}},
};

/* The generation of the ruleset stands in each header: it is taken out. */
static void put_tables(struct sink *sink, int fd)
{
	char *text = NULL;
	size_t size;
	FILE *memory = open_memstream(&text, &size);

	for (unsigned i = 0; i < sizeof(tables) / sizeof(*tables); i++)
		ask(sink, fd, &tables[i], (uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | tables[i].type),
		    NULL, memory);
	fclose(memory);
	for (char *rest, *line = strtok_r(text, "\n", &rest); line;
	     line = strtok_r(NULL, "\n", &rest)) {
		char *header = strchr(strchr(line, ' ') + 1, ' ') + 1;

		if (strlen(header) >= 8)
			memcpy(header + 4, "....", 4);
		fprintf(sink->held, "%s\n", line);
	}
	free(text);
}

/* Listing them took a third of a sweep's time. */
static bool may_have_flows(struct netlink *netfilter)
{
	uint32_t count;

	return conntrack_count(netfilter, &count, NULL) < 0 || count;
}

void netlink_text_write(const struct netlink_text *text, FILE *held, FILE *recorded, FILE *inert)
{
	static const unsigned parents[] = {TC_H_ROOT, TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_INGRESS),
					   TC_H_MAKE(TC_H_CLSACT, TC_H_MIN_EGRESS)};
	struct sink sink = {.held = held, .recorded = recorded, .inert = inert};

	ask(&sink, text->route, &links, RTM_GETLINK, NULL, NULL);
	for (unsigned i = 0; i < sizeof(others) / sizeof(*others); i++)
		ask(&sink, text->route, &others[i], others[i].type, NULL, NULL);
	for (unsigned i = 0; i < sink.link_count; i++) {
		struct tcmsg of = {.tcm_ifindex = sink.links[i]};

		ask(&sink, text->route, &classes, RTM_GETTCLASS, &of, NULL);
		/* a filter is never inert, on whatever it hangs */
		for (unsigned k = 0; k < sizeof(parents) / sizeof(*parents); k++) {
			of.tcm_parent = parents[k];
			ask(&sink, text->route, &filters, RTM_GETTFILTER, &of, recorded);
		}
	}
	put_tables(&sink, text->netfilter);
	if (may_have_flows(text->counting))
		ask(&sink, text->netfilter, &flows,
		    (uint16_t)(NFNL_SUBSYS_CTNETLINK << 8 | flows.type), NULL, recorded);
}
