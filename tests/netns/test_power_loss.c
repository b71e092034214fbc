/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The power goes at the entry of a system call of an experiment that has exchanged a file, and the
 * machine boots with what had come to the disk: `squall restore`, which the boot calls, brings back
 * the file as it was, and nothing is left beside it. Without arguments a sample, drawn anew each
 * time; `make check-powerloss` tries every call.
 *
 *   test_power_loss [seconds N]     a sample
 *   test_power_loss full [share N]  every call, or one in N
 */
#include "tests/support/squall_runner.h"
#include "tests/sweep/disk.h"
#include "tests/sweep/repeats.h"
#include "tests/sweep/scene.h"
#include "tests/sweep/sweep_options.h"
#include "tests/sweep/tracer.h"
#include "tests/sweep/world.h"

#include "injector/base/cleanup.h"
#include "injector/base/clock.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#define SAMPLE_SECONDS 12
#define MUTANT_TRIES   400
#define NEVER	       UINT_MAX
#define FILE_PATH      DISK_FOLDER "/service.conf"
#define EXPERIMENT     "/run/power.yaml"
#define BAD_WORDS      "listen eighty"
#define PATIENCE_NS    ((is_emulated() ? 150 : 30) * NSEC_PER_SEC)
#define MISSES_MAX     3 /* the number of calls differs a little from run to run */

/* When the power goes. */
struct moment {
	const char *name;
	enum role counted;
	unsigned hold_kills; /* in full force these die first */
	bool is_restoring;   /* ... and it goes in full force, and again while that is restored */
};
static const struct moment moments[] = {
	{.name = "power lost while the file is exchanged, and put back in time",
	 .counted = ROLE_WORKER},
	{.name = "power lost while the guardian puts it back",
	 .counted = ROLE_GUARDIAN,
	 .hold_kills = ROLE_BIT(ROLE_WORKER)},
	{.name = "power lost again while squall restore puts it back",
	 .counted = ROLE_CONDUCTOR,
	 .is_restoring = true},
};
#define MOMENTS (sizeof(moments) / sizeof(*moments))

struct account {
	unsigned losses;   /* of power */
	unsigned bad;	   /* ... after which the bad version was on the disk */
	unsigned in_force; /* the same for the first loss, of two */
	unsigned residues;
};

static const char *binary = "squall";
static bool is_quiet; /* residues are counted, not told */
static int network;
static char before[2048];
static unsigned failed_tests, test_number;

static void report(bool is_good, const char *name)
{
	printf("%sok %u - %s\n", is_good ? "" : "not ", ++test_number, name);
	failed_tests += !is_good;
}

/* ---- The file ---- */

static void write_text(const char *path, const char *text)
{
	cleanup_file FILE *out = fopen(path, "we");

	if (!out || fputs(text, out) < 0)
		abort();
}

static void fill(void)
{
	const struct timespec old[2] = {{.tv_sec = 1500000000, .tv_nsec = 111},
					{.tv_sec = 1400000000, .tv_nsec = 222}};

	write_text(FILE_PATH, "# a service's own file\nlisten 8080;\nworkers 4;\n");
	if (chown(FILE_PATH, 1234, 2345) < 0 || chmod(FILE_PATH, 0640) < 0 ||
	    setxattr(FILE_PATH, "user.note", "kept", 4, 0) < 0 ||
	    utimensat(AT_FDCWD, FILE_PATH, old, 0) < 0 ||
	    utimensat(AT_FDCWD, DISK_FOLDER, old, 0) < 0)
		abort();
}

/* All but the times that nobody can set: the file, and what lies beside it. */
static void describe(char *out, size_t size)
{
	cleanup_dir DIR *dir = opendir(DISK_FOLDER);
	struct dirent *entry;
	struct stat status = {0};
	char note[16] = "", content[256] = "";
	cleanup_file FILE *in = fopen(FILE_PATH, "re");
	size_t used;

	if (in)
		content[fread(content, 1, sizeof(content) - 1, in)] = '\0';
	if (getxattr(FILE_PATH, "user.note", note, sizeof(note) - 1) < 0 ||
	    stat(FILE_PATH, &status) < 0)
		snprintf(note, sizeof(note), "none");
	used = (size_t)snprintf(
		out, size, "inode %lu, %ld bytes, %u:%u %o, modified %ld.%09ld, note '%s'\n%s",
		status.st_ino, (long)status.st_size, status.st_uid, status.st_gid, status.st_mode,
		(long)status.st_mtim.tv_sec, status.st_mtim.tv_nsec, note, content);
	while (dir && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			used += (size_t)snprintf(out + used, size - used, "beside: %s\n",
						 entry->d_name);
}

/* ---- Losing power ---- */

/* squall with these words; the roles of `plan` are counted. False: it did not come to that call. */
static bool run_until(struct trace_plan plan, char *word, char *path, struct trace_result *out)
{
	char program[512];
	/* the tracer reads its events */
	char *words[] = {program, word, path ? (char[]){"--json"} : NULL, path, NULL};
	struct scene nobody = {0};

	snprintf(program, sizeof(program), "%s", world_built(binary));
	plan.words = words;
	plan.network = network;
	plan.victims = ROLES_ALL;
	plan.signal = SIGKILL;
	plan.patience_ns = PATIENCE_NS;
	trace_run(&plan, out);
	scene_kill_strangers(&nobody);
	return out->was_hit;
}

/* What the boot does. */
static bool restore(bool is_second, char **out)
{
	struct trace_result result;
	bool is_good;

	run_until((struct trace_plan){.counted = ROLE_CONDUCTOR}, (char[]){"restore"}, NULL,
		  &result);
	is_good = WIFEXITED(result.status) && WEXITSTATUS(result.status) == 0 &&
		  (!is_second || strcmp(result.out, "Nothing to restore.\n") == 0);
	*out = result.out;
	return is_good;
}

static const char *const written_words[DISK_CASES] = {"nothing", "the file's disk", "squall's disk",
						      "both"};

static void judge(const struct moment *moment, unsigned at, unsigned written, int call,
		  struct account *account)
{
	cleanup_free char *said = NULL, *again = NULL;
	char found[2048], after[2048];
	bool is_good;

	describe(found, sizeof(found));
	account->bad += strstr(found, BAD_WORDS) != NULL;
	is_good = restore(false, &said) && restore(true, &again);
	describe(after, sizeof(after));
	account->losses++;
	if (is_good && strcmp(before, after) == 0)
		return;
	account->residues++;
	if (!is_quiet)
		printf("# RESIDUE %s: at call %u (number %d), written: %s; found:\n%safter the "
		       "restore:\n%ssquall said:\n%s%s\n",
		       moment->name, at, call, written_words[written], found, after, said,
		       again ? again : "");
}

/* `recording` of the calls, with NEVER. False: the run was over before. */
static bool lose_power_at(const struct moment *moment, unsigned at, unsigned written,
			  struct trace_result *recording, int *calls, struct account *account)
{
	struct trace_plan plan = {
		.steps = 1, .hold_kills = moment->hold_kills, .counted = moment->counted, .at = at};
	struct trace_result result;
	char found[2048];
	bool was_hit;

	disk_begin();
	if (moment->is_restoring) {
		run_until((struct trace_plan){.steps = 1,
					      .hold_kills = ROLES_ALL,
					      .counted = ROLE_WORKER},
			  (char[]){"run"}, (char[]){EXPERIMENT}, &result);
		free(result.out);
		disk_lose_power(written);
		describe(found, sizeof(found));
		account->in_force += strstr(found, BAD_WORDS) != NULL;
		plan = (struct trace_plan){.counted = moment->counted, .at = at};
	}
	plan.calls[moment->counted] = calls;
	was_hit = moment->is_restoring
			  ? run_until(plan, (char[]){"restore"}, NULL, &result)
			  : run_until(plan, (char[]){"run"}, (char[]){EXPERIMENT}, &result);
	if (was_hit) {
		disk_lose_power(written);
		judge(moment, at, written, result.call, account);
	}
	free(result.out);
	result.out = NULL;
	if (recording)
		*recording = result;
	disk_end();
	return was_hit;
}

/* ---- Which calls ---- */

static void count_up(struct account *sum, const struct account *more)
{
	sum->losses += more->losses;
	sum->bad += more->bad;
	sum->residues += more->residues;
}

static void try_all(const struct moment *moment, const struct sweep_options *options,
		    const bool *is_chosen, unsigned count, struct account *account)
{
	unsigned misses = 0;

	for (unsigned at = 1 + (unsigned)random() % options->share; misses < MISSES_MAX;
	     at += options->share) {
		bool was_hit = false;

		if (options->share == 1 && at <= count && !is_chosen[at - 1])
			continue;
		for (unsigned written = 0; written < DISK_CASES; written++)
			was_hit = lose_power_at(moment, at, written, NULL, NULL, account);
		misses = was_hit ? 0 : misses + 1;
		if (isatty(STDERR_FILENO))
			fprintf(stderr, "\r  call %u of %u ", at, count);
	}
	if (isatty(STDERR_FILENO))
		fputs("\r                       \r", stderr);
}

/* Every second one at a call that changes something. */
static void try_some(const struct moment *moment, const int *calls, unsigned count,
		     int64_t until_ns, struct account *account)
{
	while (!account->losses || clock_now_ns() < until_ns) {
		unsigned at = 1 + (unsigned)random() % count;
		bool is_any = random() & 1;

		for (unsigned i = 0; i < 64 && !is_any && !call_is_telling(calls[at - 1]); i++)
			at = 1 + (unsigned)random() % count;
		lose_power_at(moment, at, (unsigned)random() % DISK_CASES, NULL, NULL, account);
	}
}

static void try_moment(const struct moment *moment, const struct sweep_options *options,
		       int64_t until_ns, struct account *sum)
{
	cleanup_free int *calls = calloc(TRACE_CALLS_MAX, sizeof(int));
	cleanup_free bool *is_chosen = NULL;
	struct account account = {0};
	struct trace_result recording;
	unsigned chosen = 0, count;

	if (!calls)
		abort();
	lose_power_at(moment, NEVER, 0, &recording, calls, &account);
	count = recording.counts[moment->counted];
	is_chosen = calls_without_repeats(calls, count, &chosen);
	if (options->is_full)
		try_all(moment, options, is_chosen, count, &account);
	else if (count)
		try_some(moment, calls, count, until_ns, &account);
	printf("# %-62s %5u calls, %5u losses of power, %5u with the bad version on the disk, %u "
	       "residues\n",
	       moment->name, count, account.losses, account.bad, account.residues);
	count_up(sum, &account);
	/* else nothing of what it says was tried */
	report(account.losses && !account.residues && count &&
		       (!options->is_full || options->share > 1 || account.bad) &&
		       (!moment->is_restoring || account.in_force),
	       moment->name);
}

/* A squall that leaves it to the kernel when to write must be caught. */
static bool catches_the_forgetful(void)
{
	struct account account = {0};

	binary = "tests/sweep/forgetful";
	is_quiet = true;
	for (unsigned i = 0; i < MUTANT_TRIES && !account.residues; i++)
		lose_power_at(&moments[0], 1 + (unsigned)random() % MUTANT_TRIES * 2, true, NULL,
			      NULL, &account);
	binary = "squall";
	is_quiet = false;
	printf("# a squall that never waits for the disk: caught after %u losses of power\n",
	       account.losses);
	return account.residues > 0;
}

static int lose_power(void *context)
{
	const struct sweep_options *options = context;
	int64_t started_ns = clock_now_ns(),
		part_ns = options->seconds * NSEC_PER_SEC / (int64_t)MOMENTS;
	struct account sum = {0};
	char why[160];
	sigset_t child;

	sigemptyset(&child);
	sigaddset(&child, SIGCHLD);
	sigprocmask(SIG_BLOCK, &child, NULL);
	srandom(options->seed);
	printf("1..%zu\n# seed %u\n", MOMENTS + 1, options->seed);
	if (!disk_make(fill, why)) {
		printf("%s\n", why);
		for (unsigned i = 0; i <= MOMENTS; i++)
			printf("ok %u - # SKIP %s\n", i + 1, why);
		return 0;
	}
	network = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	write_text(EXPERIMENT,
		   "version: 1\ntitle: Bad configuration\nallow-idle: true\n"
		   "limits: {duration: 30s, targets: 8}\ntargets:\n"
		   "  config: {file: {path: " FILE_PATH "}}\nmethod:\n"
		   "  - {at: 0s, for: 50ms, file: {target: config, pattern: \"listen 8080\", "
		   "with: \"" BAD_WORDS "\"}}\n");
	disk_begin();
	describe(before, sizeof(before));
	disk_end();
	report(catches_the_forgetful(), "who does not wait for the disk is caught");
	for (unsigned i = 0; i < MOMENTS; i++)
		try_moment(&moments[i], options, clock_now_ns() + part_ns, &sum);
	printf("# power lost: %u times, with the bad version on the disk: %u, residues: %u, in "
	       "%lld s\n",
	       sum.losses, sum.bad, sum.residues,
	       (long long)((clock_now_ns() - started_ns) / NSEC_PER_SEC));
	return failed_tests != 0;
}

int main(int argc, char **argv)
{
	struct sweep_options options;

	sweep_options_read(argc, argv, SAMPLE_SECONDS, &options);
	return world_run(lose_power, &options);
}
