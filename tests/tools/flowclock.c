/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * When does a network fault begin and end, seen from the packets? A flow of small UDP packets, one
 * every 0.2 ms, from the client's namespace to the server's. COMMAND runs beside it, in the
 * client's namespace; printed is when packets began to be affected (late or lost) and when they
 * stopped, from the start of COMMAND or from the signal it was sent. Sent before the send call,
 * received as the kernel's own receive time: the scheduler's delays of this program are not in it.
 */
#include "injector/base/cleanup.h"
#include "injector/base/clock.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#define IN_A_ROW      5 /* packets alike that make a change: one alone may be the machine's hiccup */
#define MAX_PROCESSES 64
#define TAIL_NS	      (100 * NSEC_PER_MSEC) /* the flow goes on this long after the end */

struct packet {
	_Atomic int64_t sent_ns, received_ns; /* wall time; 0: not yet */
};

struct flow {
	int sender, receiver;
	int64_t interval_ns, late_ns; /* a packet this late is affected */
	struct packet *packets;
	unsigned capacity;
	_Atomic unsigned count; /* sent */
	unsigned reordered;
	bool in_user_space; /* take the time of receipt in this program */
	_Atomic bool is_over;
};

struct options {
	const char *client, *server, *address;
	uint16_t port;
	int64_t interval_ns, late_ns, hold_ns, most_ns;
	bool in_user_space;
	int signal;	  /* sent to COMMAND once the effect has held for hold_ns; 0: none */
	bool ends_itself; /* the effect is to end after hold_ns: no signal, but that is its time */
	char **command;
};

struct tree { /* COMMAND and what it started, also what was handed to us since */
	pid_t pids[MAX_PROCESSES];
	unsigned count;
	long rss_kb, pss_kb;
};

struct times { /* wall time, -1: did not happen */
	int64_t start_ns, effective_ns, exit_ns, signal_ns, unaffected_ns;
};

static int fail(const char *what)
{
	fprintf(stderr, "flowclock: %s: %s\n", what, strerror(errno));
	return -1;
}

static int enter_namespace(const char *name)
{
	char path[256];
	cleanup_fd int fd = -1;

	if (!name)
		return 0;
	snprintf(path, sizeof(path), "/run/netns/%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 || setns(fd, CLONE_NEWNET) < 0 ? fail(path) : 0;
}

static int open_flow(const struct options *options, struct flow *flow)
{
	cleanup_fd int home = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	bool is_v6 = strchr(options->address, ':') != NULL;
	struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(options->port)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(options->port)};
	struct sockaddr *to = is_v6 ? (void *)&v6 : (void *)&v4;
	socklen_t size = is_v6 ? sizeof(v6) : sizeof(v4);
	int family = is_v6 ? AF_INET6 : AF_INET, yes = 1, bytes = 4 << 20;

	errno = EINVAL;
	if (inet_pton(family, options->address,
		      is_v6 ? (void *)&v6.sin6_addr : (void *)&v4.sin_addr) != 1)
		return fail(options->address);
	if (home < 0 || enter_namespace(options->server) < 0)
		return fail("the server's namespace");
	flow->receiver = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (flow->receiver < 0 || bind(flow->receiver, to, size) < 0)
		return fail("receiving socket");
	setsockopt(flow->receiver, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof(bytes));
	if (setsockopt(flow->receiver, SOL_SOCKET, SO_TIMESTAMPNS, &yes, sizeof(yes)) < 0 ||
	    setsockopt(flow->receiver, SOL_SOCKET, SO_RCVTIMEO, &(struct timeval){.tv_usec = 50000},
		       sizeof(struct timeval)) < 0)
		return fail("receive time stamps");
	if (setns(home, CLONE_NEWNET) < 0 || enter_namespace(options->client) < 0)
		return fail("the client's namespace");
	flow->sender = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (flow->sender < 0 || connect(flow->sender, to, size) < 0)
		return fail("sending socket");
	/* stays in the client's namespace: COMMAND belongs there */
	flow->capacity = (unsigned)(options->most_ns / options->interval_ns) + 1;
	flow->packets = calloc(flow->capacity, sizeof(*flow->packets));
	return flow->packets ? 0 : fail("packets");
}

static void *send_packets(void *context)
{
	struct flow *flow = context;
	struct timespec next;

	clock_gettime(CLOCK_MONOTONIC, &next);
	for (unsigned i = 0; i < flow->capacity && !flow->is_over; i++) {
		flow->packets[i].sent_ns = clock_wall_ns();
		/* refused (a firewall) or no buffer: a lost packet, which is what is measured */
		(void)!send(flow->sender, &i, sizeof(i), MSG_DONTWAIT | MSG_NOSIGNAL);
		flow->count = i + 1;
		next.tv_nsec += flow->interval_ns;
		while (next.tv_nsec >= NSEC_PER_SEC) {
			next.tv_nsec -= NSEC_PER_SEC;
			next.tv_sec++;
		}
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
	}
	return NULL;
}

static void *receive_packets(void *context)
{
	struct flow *flow = context;
	unsigned number, highest = 0;
	char control[CMSG_SPACE(sizeof(struct timespec))];

	while (!flow->is_over) {
		struct iovec part = {.iov_base = &number, .iov_len = sizeof(number)};
		struct msghdr message = {.msg_iov = &part,
					 .msg_iovlen = 1,
					 .msg_control = control,
					 .msg_controllen = sizeof(control)};
		ssize_t got = recvmsg(flow->receiver, &message, 0);
		struct cmsghdr *header = got > 0 ? CMSG_FIRSTHDR(&message) : NULL;
		struct timespec stamp;

		if (got != sizeof(number) || number >= flow->capacity || !header ||
		    header->cmsg_type != SCM_TIMESTAMPNS)
			continue;
		memcpy(&stamp, CMSG_DATA(header), sizeof(stamp));
		if (number < highest)
			flow->reordered++;
		else
			highest = number;
		flow->packets[number].received_ns =
			flow->in_user_space ? clock_wall_ns()
					    : stamp.tv_sec * NSEC_PER_SEC + stamp.tv_nsec;
	}
	return NULL;
}

enum fate { UNKNOWN, ON_TIME, AFFECTED };

static enum fate fate_of(const struct flow *flow, unsigned i, int64_t now_ns)
{
	int64_t sent = flow->packets[i].sent_ns, received = flow->packets[i].received_ns;

	if (received)
		return received - sent > flow->late_ns ? AFFECTED : ON_TIME;
	return now_ns - sent > flow->late_ns ? AFFECTED : UNKNOWN;
}

/* When the first of IN_A_ROW packets sent after from_ns with this fate was sent, or -1 (not yet).
 */
static int64_t find_change(const struct flow *flow, int64_t from_ns, enum fate fate)
{
	int64_t now = clock_wall_ns();
	unsigned run = 0, count = flow->count;

	for (unsigned i = 0; i < count; i++) {
		if (flow->packets[i].sent_ns < from_ns)
			continue;
		run = fate_of(flow, i, now) == fate ? run + 1 : 0;
		if (run == IN_A_ROW)
			return flow->packets[i + 1 - IN_A_ROW].sent_ns;
	}
	return -1;
}

static long read_number(pid_t pid, const char *file, const char *key)
{
	char path[64], line[256];
	cleanup_file FILE *in = NULL;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, file);
	in = fopen(path, "re");
	while (in && fgets(line, sizeof(line), in))
		if (!strncmp(line, key, strlen(key)))
			return strtol(line + strlen(key), NULL, 10);
	return 0;
}

static bool tree_has(const struct tree *tree, pid_t pid)
{
	for (unsigned i = 0; i < tree->count; i++)
		if (tree->pids[i] == pid)
			return true;
	return false;
}

/* All our descendants: this process is a sub-reaper, so that daemons of COMMAND come to it. */
static void find_tree(struct tree *tree)
{
	bool found = true;

	*tree = (struct tree){.pids = {getpid()}, .count = 1};
	while (found) {
		cleanup_dir DIR *proc = opendir("/proc");
		struct dirent *entry;

		found = false;
		while (proc && (entry = readdir(proc))) {
			pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

			if (!isdigit((unsigned char)entry->d_name[0]) || tree_has(tree, pid) ||
			    tree->count == MAX_PROCESSES)
				continue;
			if (tree_has(tree, (pid_t)read_number(pid, "status", "PPid:"))) {
				tree->pids[tree->count++] = pid;
				found = true;
			}
		}
	}
	for (unsigned i = 1; i < tree->count; i++) {
		tree->rss_kb += read_number(tree->pids[i], "status", "VmRSS:");
		tree->pss_kb += read_number(tree->pids[i], "smaps_rollup", "Pss:");
	}
}

static void send_signal(const struct options *options, pid_t command, const struct tree *tree)
{
	if (options->signal != SIGKILL) {
		kill(command, options->signal);
		return;
	}
	for (unsigned i = 1; i < tree->count; i++) /* [0] is this process */
		kill(tree->pids[i], SIGKILL);
}

static pid_t start_command(const struct options *options)
{
	pid_t pid = fork();

	if (pid == 0) {
		(void)!freopen("/dev/null", "r", stdin);
		dup2(STDERR_FILENO, STDOUT_FILENO);
		execvp(options->command[0], options->command);
		fail(options->command[0]);
		_exit(127);
	}
	return pid;
}

/* Until the effect came and went, or COMMAND ended without one, or the time is over. Returns
 * COMMAND's status, -1 when it had to be killed. */
static int watch(const struct options *options, const struct flow *flow, pid_t command,
		 struct times *times, struct tree *tree)
{
	int64_t deadline = times->start_ns + options->most_ns - 2 * TAIL_NS;
	int status = -1;

	while (clock_wall_ns() < deadline) {
		int64_t now = clock_wall_ns(), held;

		if (times->exit_ns < 0 && waitpid(command, &status, WNOHANG) == command)
			times->exit_ns = clock_wall_ns();
		if (times->effective_ns < 0)
			times->effective_ns = find_change(flow, times->start_ns, AFFECTED);
		held = times->effective_ns > 0 ? now - times->effective_ns : -1;
		if (!tree->count && held > options->hold_ns / 2)
			find_tree(tree);
		if (options->signal && times->signal_ns < 0 && held > options->hold_ns) {
			times->signal_ns = clock_wall_ns();
			send_signal(options, command, tree);
		}
		if (options->ends_itself && times->effective_ns > 0)
			times->signal_ns = times->effective_ns + options->hold_ns;
		/* not before its time: the last packets may be let go early, and the flow moves on
		 */
		if (times->effective_ns > 0 && times->unaffected_ns < 0 && now > times->signal_ns)
			times->unaffected_ns = find_change(
				flow, times->signal_ns > 0 ? times->signal_ns : times->effective_ns,
				ON_TIME);
		if (times->exit_ns > 0 && (times->unaffected_ns > 0 || times->effective_ns < 0) &&
		    now > times->exit_ns + TAIL_NS + flow->late_ns)
			break;
		nanosleep(&(struct timespec){.tv_nsec = 2 * NSEC_PER_MSEC}, NULL);
	}
	if (times->exit_ns < 0) {
		kill(command, SIGTERM);
		waitpid(command, NULL, 0);
	}
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
	return status;
}

static void print_span(const char *name, int64_t from_ns, int64_t to_ns)
{
	if (from_ns > 0 && to_ns > 0)
		printf("%s=%.2f ", name, (double)(to_ns - from_ns) / 1e6);
	else
		printf("%s=- ", name);
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return x < y ? -1 : x > y;
}

/* Median one-way delay of what was sent in [from, to), in ms; -1: nothing arrived. */
static double median_delay(const struct flow *flow, int64_t from_ns, int64_t to_ns)
{
	cleanup_free int64_t *delays = calloc(flow->count + 1, sizeof(*delays));
	unsigned count = 0;

	for (unsigned i = 0; delays && i < flow->count; i++) {
		const struct packet *packet = &flow->packets[i];

		if (packet->received_ns && packet->sent_ns >= from_ns && packet->sent_ns < to_ns)
			delays[count++] = packet->received_ns - packet->sent_ns;
	}
	if (!count)
		return -1;
	qsort(delays, count, sizeof(*delays), compare);
	return (double)delays[count / 2] / 1e6;
}

static void print_result(const struct flow *flow, const struct times *times,
			 const struct tree *tree, int status)
{
	unsigned lost = 0;
	int64_t end = times->unaffected_ns > 0 ? times->unaffected_ns : INT64_MAX;

	for (unsigned i = 0; i < flow->count; i++)
		lost += !flow->packets[i].received_ns;
	print_span("effective_ms", times->start_ns, times->effective_ns);
	print_span("exit_ms", times->start_ns, times->exit_ns);
	print_span("start_to_unaffected_ms", times->start_ns, times->unaffected_ns);
	print_span("signal_to_unaffected_ms", times->signal_ns, times->unaffected_ns);
	printf("delay_before_ms=%.3f ", median_delay(flow, 0, times->start_ns));
	if (times->effective_ns > 0)
		printf("delay_during_ms=%.3f ", median_delay(flow, times->effective_ns, end));
	if (times->unaffected_ns > 0)
		printf("delay_after_ms=%.3f ", median_delay(flow, end, INT64_MAX));
	printf("sent=%u lost=%u reordered=%u processes=%u rss_kb=%ld pss_kb=%ld status=%d\n",
	       (unsigned)flow->count, lost, flow->reordered, tree->count ? tree->count - 1 : 0,
	       tree->rss_kb, tree->pss_kb, WIFEXITED(status) ? WEXITSTATUS(status) : 128);
}

static int measure(const struct options *options)
{
	struct flow flow = {.sender = -1,
			    .receiver = -1,
			    .interval_ns = options->interval_ns,
			    .late_ns = options->late_ns,
			    .in_user_space = options->in_user_space};
	struct times times = {-1, -1, -1, -1, -1};
	struct tree tree = {.count = 0};
	pthread_t sender, receiver;
	pid_t command;
	int status, result = -1;

	if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 || open_flow(options, &flow) < 0)
		goto out;
	errno = pthread_create(&receiver, NULL, receive_packets, &flow);
	if (errno) {
		fail("thread");
		goto out;
	}
	errno = pthread_create(&sender, NULL, send_packets, &flow);
	if (!errno) {
		nanosleep(&(struct timespec){.tv_nsec = 2 * TAIL_NS}, NULL);
		times.start_ns = clock_wall_ns();
		command = start_command(options);
		status = command < 0 ? fail("fork") : watch(options, &flow, command, &times, &tree);
		flow.is_over = true;
		pthread_join(sender, NULL);
		print_result(&flow, &times, &tree, status);
		result = 0;
	}
	flow.is_over = true;
	pthread_join(receiver, NULL);
out:
	free(flow.packets);
	if (flow.sender >= 0)
		close(flow.sender);
	if (flow.receiver >= 0)
		close(flow.receiver);
	return result;
}

static int usage(void)
{
	fprintf(stderr,
		"usage: flowclock [options] ADDRESS COMMAND...\n"
		"  -c NAME     network namespace of the client, where COMMAND runs\n"
		"  -s NAME     network namespace of the server, which has ADDRESS\n"
		"  -d MS       a packet later than this is affected (5)\n"
		"  -i US       between two packets (200)\n"
		"  -e SIGNAL   number sent to COMMAND when the effect has held for -a; 9: "
		"to all it started\n"
		"  -a MS       see -e (300)\n"
		"  -f MS       COMMAND is to end the effect after so long: what is printed as from "
		"the\n              signal is from then\n"
		"  -t MS       at most this long (10000)\n"
		"  -u          time of receipt in this program, not the kernel's, which is "
		"taken before\n"
		"              what an ingress hook of the server does\n"
		"One line is printed; COMMAND's output goes to standard error.\n");
	return 2;
}

int main(int argc, char **argv)
{
	struct options options = {.port = 9999,
				  .interval_ns = 200 * NSEC_PER_USEC,
				  .late_ns = 5 * NSEC_PER_MSEC,
				  .hold_ns = 300 * NSEC_PER_MSEC,
				  .most_ns = 10 * NSEC_PER_SEC};
	int letter;

	while ((letter = getopt(argc, argv, "+c:s:d:i:e:a:f:t:u")) != -1) {
		if (letter == 'c')
			options.client = optarg;
		else if (letter == 's')
			options.server = optarg;
		else if (letter == 'd')
			options.late_ns = (int64_t)(strtod(optarg, NULL) * 1e6);
		else if (letter == 'i')
			options.interval_ns = strtol(optarg, NULL, 10) * NSEC_PER_USEC;
		else if (letter == 'e')
			options.signal = (int)strtol(optarg, NULL, 10);
		else if (letter == 'a')
			options.hold_ns = strtol(optarg, NULL, 10) * NSEC_PER_MSEC;
		else if (letter == 'f') {
			options.hold_ns = strtol(optarg, NULL, 10) * NSEC_PER_MSEC;
			options.ends_itself = true;
		} else if (letter == 't')
			options.most_ns = strtol(optarg, NULL, 10) * NSEC_PER_MSEC;
		else if (letter == 'u')
			options.in_user_space = true;
		else
			return usage();
	}
	if (argc - optind < 2 || options.interval_ns <= 0 || options.most_ns <= 0)
		return usage();
	options.address = argv[optind];
	options.command = argv + optind + 1;
	return measure(&options) < 0 ? 1 : 0;
}
