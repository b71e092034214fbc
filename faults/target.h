/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * Targets: what an experiment may touch. A selector (a parameter table, one for each kind) is
 * resolved once, in the worker, into something pinned: processes by pidfd and start time,
 * interfaces by namespace and index. Zero results and more results than allowed are errors.
 */
#ifndef SQUALL_TARGET_H
#define SQUALL_TARGET_H

#include "faults/files.h"
#include "injector/base/endpoint.h"
#include "injector/base/error.h"
#include "injector/base/params.h"
#include "injector/journal/journal.h"
#include "injector/kernel/cgroup.h"
#include "injector/kernel/namespace.h"

#include <stdbool.h>
#include <stdint.h>

enum target_kind { TARGET_NONE, TARGET_TRAFFIC, TARGET_PROCESS, TARGET_FILE };

/* Selector of traffic, in the file `{to: [10.0.5.0/24:443], interface: eth0}` */
enum traffic_param {
	TRAFFIC_TO,	 /* list of endpoints: the far side; names are resolved by the conductor */
	TRAFFIC_TO_FILE, /* more of them, a line each; read by target_load() */
	TRAFFIC_LOCAL_PORT,	 /* list of ports on this side */
	TRAFFIC_LOCAL_ADDRESS,	 /* list of addresses and networks on this side */
	TRAFFIC_PROTOCOL,	 /* list of tcp, udp, icmp, icmpv6, sctp, any */
	TRAFFIC_PROTOCOL_NUMBER, /* list, beside those */
	TRAFFIC_TCP_FLAGS,	 /* list of fin, syn, ..., !fin, ...: TCP packets */
	TRAFFIC_EXCEPT,		 /* list of endpoints that are left out */
	TRAFFIC_EXCEPT_FILE,
	TRAFFIC_EXCEPT_LOCAL_PORT, /* list of ports on this side */
	TRAFFIC_EXCEPT_LOCAL_ADDRESS,
	TRAFFIC_SHARE,	  /* of the flows */
	TRAFFIC_SHARE_OF, /* or of what else: flows, addresses */
	TRAFFIC_VLAN,
	TRAFFIC_NEIGHBOURS,    /* not only IP: ARP, and neighbour discovery */
	TRAFFIC_ALLOW_LOCKOUT, /* the controlling session is affected as well */
	TRAFFIC_INTERFACE,     /* list of names and patterns; default: those that route to `to` */
	TRAFFIC_NAMESPACE,     /* NAME (ip netns), pid:N, or target:NAME of a process target */
	/* whose traffic, at most one of these */
	TRAFFIC_CGROUP,
	TRAFFIC_UNIT,
	TRAFFIC_CONTAINER,
	TRAFFIC_CONTAINER_COUNT, /* at most so many of these */
	TRAFFIC_OF,		 /* name of a process target */
	TRAFFIC_FOLLOW,		 /* host names are looked up again while it lasts */
	TRAFFIC_FOLLOW_EVERY,
};
extern const struct param traffic_params[];

/* Selector of processes, in the file `process: {name: nginx, count: 1}`; keys combine by AND. */
enum process_param {
	PROCESS_PID, /* list */
	PROCESS_PIDFILE,
	PROCESS_NAME,	 /* comm, exact */
	PROCESS_EXE,	 /* absolute path of the executable */
	PROCESS_COMMAND, /* pattern over the command line */
	PROCESS_USER,
	PROCESS_CGROUP,	   /* list of paths below the cgroup mount */
	PROCESS_UNIT,	   /* list of systemd units, and patterns */
	PROCESS_CONTAINER, /* list of containers, and patterns */
	PROCESS_PORT,	   /* listening TCP or UDP port */
	PROCESS_NAMESPACE, /* network namespace the port is looked up in: NAME or pid:N */
	PROCESS_COUNT,	   /* at most this many, chosen at random */
	PROCESS_SHARE,	   /* this share of the matches, at least one */
	PROCESS_ALLOW_CRITICAL,
	PROCESS_FOLLOW, /* what is in the control group when it was made again is met, too */
};
extern const struct param process_params[];

/* Selector of a file, in the file `file: {path: /etc/nginx/nginx.conf}` */
enum file_param { FILE_PATH, FILE_NAMESPACE, FILE_ALLOW_CRITICAL };
extern const struct param file_params[];

struct target_process {
	struct process_identity id;
	int pidfd; /* owned by the target */
	uint32_t uid;
	char name[16];	   /* comm */
	char command[128]; /* start of the command line, printable */
};

struct target {
	char name[64]; /* as in the file; "" for one written inside a step */
	enum target_kind kind;
	struct params params; /* of the kind's table, owned */
	bool is_resolved;
	const struct target *whole; /* that it is a part of (target_parts.h), or NULL */
	bool is_part;
	struct namespace_id part_id; /* where it was found */

	/* TARGET_PROCESS */
	struct target_process *processes;
	unsigned process_count;
	unsigned match_count;  /* of which they were chosen */
	unsigned joined_count; /* of a whole control group, when it was last hit: beyond those */
	uint64_t seed;	       /* for count and share */

	/* TARGET_TRAFFIC: endpoints are in params[TRAFFIC_TO]; host names were replaced by
	 * addresses before they came here */
	int namespace_fd;	 /* owned; -1: the worker's own namespace. TARGET_FILE: of mounts */
	char namespace_name[64]; /* for people */
	struct target_interface {
		int index;
		char name[16];
		bool is_default; /* a default route leads there */
		bool is_untold;	 /* the worker's: it has come, and nobody was told so yet */
	} * interfaces;
	unsigned interface_count;
	/* of this machine, that `local-address` selects, as last looked for; owned */
	struct target_source *sources;
	unsigned source_count;
	bool may_lack_interfaces; /* set before it is resolved: no route is no error */
	/* whose traffic, 0: everybody's in the namespace; of processes that are followed their one
	 * group; owned */
	struct target_group *groups;
	unsigned group_count;
	pid_t *container_pids; /* the first processes of containers, if it is theirs; owned */
	unsigned container_count;
	char owner_text[160]; /* for people: "unit nginx"; "" when it is everybody's */
	char part_text[80]; /* which of several (target_parts.h, container-count): "web-1", "pid:7";
			       else "" */
	/* `follow: true`, see target_follow.h */
	struct target_host *hosts; /* owned */
	unsigned host_count;
	unsigned fixed_count[2]; /* of `to` and `except`: values that no name stands for */
	struct netlink *links;	 /* in its namespace, to look at its interfaces again; owned */
	struct target_interface *passed_over; /* those that were refused; owned */
	unsigned passed_count;
};

/* A control group of cgroup v2 that sockets belong to. */
struct target_group {
	struct cgroup cgroup;
	int fd;		/* its directory */
	uint64_t id;	/* by which the kernel knows it */
	bool is_away;	/* it is followed, and was removed */
	unsigned level; /* below the root, which is 0 */
	/* a container's, which is looked for by that name; "": by the group's own */
	char container[128];
	bool is_elsewhere; /* it was found in another network namespace */
	int64_t look_ns;   /* it is not looked for before */
};

/* target_list.c: if the parameter is set and names a file of endpoints, adds what is in it to the
 * list it belongs to. Called where the experiment is read, never in the worker. Every mistake goes
 * to files->problem, if there is one: then -EINVAL with nothing in `err`. */
#define TARGET_ENDPOINTS_MAX 100000
bool target_is_list_file(const struct params *params, unsigned parameter);
int target_load(struct params *params, unsigned parameter, const struct fault_files *files,
		struct error *err);

/* The selector table of a kind; NULL for TARGET_NONE. */
const struct param *target_params(enum target_kind kind);
/* "traffic", "process", "file" */
const char *target_kind_name(enum target_kind kind);

/* Protects what must never be hit: our own processes and their ancestors. */
struct target_guard {
	struct process_identity conductor, worker, guardian;
	/* finds another target of the same experiment by name (namespace: target:NAME); may be NULL
	 */
	struct target *(*find)(void *context, const char *name);
	void *context;
};

/* Resolves and pins, once. `limit` is the experiment's limits.targets: more is -E2BIG, none
 * -ENOENT. Counted are processes of a process target, endpoints of a traffic target; a file is one.
 */
int target_resolve(struct target *target, unsigned limit, const struct target_guard *guard,
		   struct error *err);
/* How many things it touches, as counted against limits.targets. */
unsigned target_size(const struct target *target);
void target_free(struct target *target);

/* What a traffic selector means. Numbers of the transport protocols, ascending; 0: every one. */
#define TRAFFIC_PROTOCOLS_MAX 256
unsigned target_protocols(const struct params *params, uint8_t out[TRAFFIC_PROTOCOLS_MAX]);
/* target_check.c: -EINVAL: it selects nothing, whatever the machine; *out_blamed is the value that
 * is at fault. Names need not be looked up yet. */
int target_check_selector(const struct params *params, const struct param_value **out_blamed,
			  struct error *err);
bool target_protocol_has_ports(uint8_t number);
/* `share` draws far addresses, not flows. */
bool target_shares_addresses(const struct params *params);
/* What that means for those who use it; nothing without a share. */
void target_explain_share(const struct params *params, char *out, size_t size);
/* -EINVAL: a key says more of another one, which is not given. */
int target_check_companions(const struct params *params, unsigned *out_key, struct error *err);
/* target_flags.c: the bits in the TCP header that tell; mask 0: any packet is met. They imply TCP:
 * target_protocols() says so. */
struct target_flags {
	uint8_t mask;
	bool is_exact; /* of the mask just those that are wanted; else one of the mask or more */
	uint8_t wanted;
};
struct target_flags target_tcp_flags(const struct params *params);
/* "fin or rst", "syn and not ack" */
void target_tcp_flags_say(const struct params *params, char *out, size_t size);
/* What that means for who uses the target, in whole sentences; empty: it is not asked for. True:
 * what is said of all packets does not hold then, as only some of each connection are met. */
bool target_explain_tcp_flags(const struct params *params, char *out, size_t size);
/* -EINVAL: another protocol is named, or it is for a fault that does not see packets (its name;
 * NULL: it does). */
int target_check_tcp_flags(const struct params *params, const char *blind, struct error *err);
/* The addresses where machines in clouds get their credentials are left out, unless `to` names
 * exactly one: who selects everything does not mean that. */
bool target_spares_metadata(const struct params *params);
bool target_is_metadata(int family, const uint8_t *address);
/* The one of that number; NULL: there are not so many. */
const uint8_t *target_metadata_address(int family, unsigned at);

/* target_overlap.c: one packet may be of both, by their selectors and whoever sends it. */
bool target_may_share(const struct params *a, const struct params *b);

/* target_use.c: what of a traffic target a fault can use, and which far sides fit. */
#define TARGET_USE_PROTOCOLS  2
#define TARGET_TAKES(keyword) (1ULL << TRAFFIC_##keyword)
/* Whose traffic, and where. */
#define TARGET_TAKES_OWNERS                                                                        \
	(TARGET_TAKES(NAMESPACE) | TARGET_TAKES(CGROUP) | TARGET_TAKES(UNIT) |                     \
	 TARGET_TAKES(CONTAINER) | TARGET_TAKES(CONTAINER_COUNT) | TARGET_TAKES(OF))
struct target_use {
	uint64_t takes;	    /* bits of the keys that are of use */
	const char *chosen; /* why not the others: "queries are chosen by server" */
	const char *spoken; /* "HTTP/1 is spoken over tcp alone"; NULL: any protocol */
	uint8_t protocols[TARGET_USE_PROTOCOLS];
	unsigned endpoints_max; /* 0: as many as a target may have */
	const char *example;	/* of `to` */
};
/* On failure *out_blamed is the value that is at fault. What fault.h says of single keys (follow,
 * tcp-flags) is told elsewhere. */
int target_check_use(const struct target_use *use, const struct params *target,
		     const struct param_value **out_blamed, struct error *err);

/* The kinds' own parts, called by target_resolve(). */
int target_traffic_resolve(struct target *target, const struct target_guard *guard,
			   struct error *err);
int target_process_resolve(struct target *target, const struct target_guard *guard,
			   struct error *err);
int target_file_resolve(struct target *target, const struct target_guard *guard, struct error *err);
/* Says again, on the pidfd, that the process is the one that was pinned, alive and allowed; called
 * immediately before a signal is sent. */
int target_process_recheck(const struct target_process *process, const struct target *target,
			   struct error *err);

#endif
