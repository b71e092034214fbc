/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/soak/growth.h"

#include "tests/soak/members.h"
#include "tests/sweep/world.h"

#include "injector/journal/audit.h"
#include "injector/journal/journal.h"
#include "injector/run/result_file.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A group dies in the kernel's own time. */
#define DYING_MORE 64
/* Many megabytes come and go with whatever else the machine does. */
#define KERNEL_MORE_KIB (16 * 1024)
/* Lines of an experiment in the audit file: each fault's begin and end, and the run's own. */
#define AUDIT_KIB_EACH 8
/* Whoever is killed removes no old results; the next run does. */
#define RESULTS_MORE 32

static struct {
	long results, others;
} found;

static int count_file(const char *path, const struct stat *status, int kind, struct FTW *place)
{
	(void)status, (void)place;
	if (kind == FTW_F)
		*(strstr(path, "/results/") ? &found.results : &found.others) += 1;
	return 0;
}

static void count_files(void)
{
	memset(&found, 0, sizeof(found));
	nftw(JOURNAL_ROOT, count_file, 8, FTW_PHYS); /* it need not be there */
	nftw(JOURNAL_STATE, count_file, 8, FTW_PHYS);
}

static long size_kib(const char *path)
{
	struct stat status;

	return stat(path, &status) == 0 ? (long)status.st_size / 1024 : 0;
}

void soak_sizes_take(struct soak_sizes *out)
{
	char path[300];

	snprintf(path, sizeof(path), "%s/cgroup.stat", world_cgroups());
	count_files();
	*out = (struct soak_sizes){
		.groups = soak_number(path, "nr_descendants "),
		.dying_groups = soak_number(path, "nr_dying_descendants "),
		.files = found.others,
		.results = found.results,
		.kernel_kib = soak_number("/proc/meminfo", "SUnreclaim:"),
		.audit_kib = size_kib(JOURNAL_STATE "/" AUDIT_FILE),
	};
}

bool soak_sizes_compare(const struct soak_sizes *before, const struct soak_sizes *after,
			unsigned experiments)
{
	const struct {
		const char *name;
		long before, after, most;
	} each[] = {
		{"control groups", before->groups, after->groups, before->groups},
		{"dying control groups", before->dying_groups, after->dying_groups,
		 before->dying_groups + DYING_MORE},
		{"files", before->files, after->files, before->files},
		{"results", before->results, after->results, RESULT_FILES_KEPT + RESULTS_MORE},
		{"KiB of the kernel (SUnreclaim)", before->kernel_kib, after->kernel_kib,
		 before->kernel_kib + KERNEL_MORE_KIB},
		{"KiB of the audit file", before->audit_kib, after->audit_kib,
		 before->audit_kib + (long)experiments * AUDIT_KIB_EACH},
	};
	bool is_good = true;

	for (unsigned i = 0; i < sizeof(each) / sizeof(*each); i++) {
		bool is_more = each[i].after > each[i].most;

		printf("%s%s: %ld -> %ld (at most %ld)\n", is_more ? "# RESIDUE: " : "",
		       each[i].name, each[i].before, each[i].after, each[i].most);
		is_good &= !is_more;
	}
	return is_good;
}
