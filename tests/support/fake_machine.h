/* SPDX-License-Identifier: GPL-2.0-or-later
 *
 * The processes of a machine in a fake /proc. To be included by one test program each.
 */
#ifndef SQUALL_TESTS_FAKE_MACHINE_H
#define SQUALL_TESTS_FAKE_MACHINE_H

#include "tests/support/fake_proc.h"

#define P	   FAKE_PID
#define PF_KTHREAD 0x00200000

/* Some processes of a machine: squall 4 deep below an ssh session, a web server, the usual rest. */
enum {
	KTHREAD = P + 2,
	JOURNALD = P + 10,
	SSHD = P + 20,
	SSHD_OF_USER = P + 21,
	SHELL = P + 22,
	SUDO = P + 23,
	CONDUCTOR = P + 24,
	WORKER = P + 25,
	GUARDIAN = P + 26,
	PROBE = P + 27,
	EDITOR = P + 28,
	OTHER_SSHD = P + 30,
	MASTER = P + 100,
	WORKER_1 = P + 101,
	WORKER_2 = P + 102,
	WORKER_3 = P + 103,
	CONTAINER = P + 200,
	CONTAINER_CHILD = P + 201,
	RENAMED_SSHD = P + 300,
	ZOMBIE = P + 301,
	LONG_NAME = P + 302,
};

static const struct fake_process machine[] = {
	{.pid = 1, .comm = "systemd"},
	{.pid = KTHREAD, .comm = "kworker/0:1", .flags = PF_KTHREAD},
	{.pid = JOURNALD, .comm = "systemd-journal", .parent = 1, .session = JOURNALD},
	{.pid = SSHD, .comm = "sshd", .parent = 1, .session = SSHD, .command = "sshd: listener"},
	{.pid = SSHD_OF_USER, .comm = "sshd", .parent = SSHD, .session = SSHD_OF_USER},
	{.pid = SHELL, .comm = "bash", .parent = SSHD_OF_USER, .session = SHELL},
	{.pid = SUDO, .comm = "sudo", .parent = SHELL, .session = SHELL},
	{.pid = CONDUCTOR, .comm = "squall", .parent = SUDO, .session = SHELL},
	{.pid = WORKER, .comm = "squall", .parent = CONDUCTOR, .session = SHELL},
	{.pid = GUARDIAN, .comm = "squall", .parent = WORKER, .session = GUARDIAN},
	{.pid = PROBE, .comm = "nginx", .parent = CONDUCTOR, .session = PROBE},
	{.pid = EDITOR, .comm = "vi", .parent = SHELL, .session = SHELL},
	{.pid = OTHER_SSHD,
	 .comm = "sshd",
	 .parent = 1,
	 .session = OTHER_SSHD,
	 .command = "sshd: second"},
	{.pid = MASTER,
	 .comm = "nginx",
	 .parent = 1,
	 .session = MASTER,
	 .start_time = 500,
	 .command = "nginx: master process\n-g\ndaemon on;",
	 .exe = "/usr/sbin/nginx (deleted)",
	 .cgroup = "0::/system.slice/nginx.service\n"},
	{.pid = WORKER_1,
	 .comm = "nginx",
	 .parent = MASTER,
	 .session = MASTER,
	 .start_time = 501,
	 .command = "nginx: worker process",
	 .exe = "/usr/sbin/nginx",
	 .cgroup = "0::/system.slice/nginx.service\n"},
	{.pid = WORKER_2,
	 .comm = "nginx",
	 .parent = MASTER,
	 .session = MASTER,
	 .start_time = 501,
	 .command = "nginx: worker process",
	 .exe = "/usr/sbin/nginx",
	 .cgroup = "0::/system.slice/nginx.service\n"},
	{.pid = WORKER_3,
	 .comm = "nginx",
	 .parent = MASTER,
	 .session = MASTER,
	 .start_time = 502,
	 .command = "nginx: worker\x1b[2J process",
	 .exe = "/usr/sbin/nginx",
	 .cgroup = "0::/system.slice/nginx.service/sub\n"},
	{.pid = CONTAINER,
	 .comm = "redis",
	 .parent = 1,
	 .session = CONTAINER,
	 .status = "Name:\tredis\nNSpid:\t4190200\t1\n"},
	{.pid = CONTAINER_CHILD,
	 .comm = "redis",
	 .parent = CONTAINER,
	 .session = CONTAINER_CHILD,
	 .cgroup = "0::/system.slice/shop-2.service\n",
	 .status = "Name:\tredis\nNSpid:\t4190201\t7\n"},
	{.pid = RENAMED_SSHD,
	 .comm = "web",
	 .parent = 1,
	 .session = P + 300,
	 .exe = "/usr/sbin/sshd"},
	{.pid = ZOMBIE, .comm = "lost", .parent = MASTER, .session = MASTER, .state = 'Z'},
	{.pid = LONG_NAME,
	 .comm = "very-long-progr",
	 .parent = 1,
	 .session = LONG_NAME,
	 .cgroup = "0::/system.slice/shop-1.service\n",
	 .command = "/opt/very-long-program-name\n-x"},
	{.pid = 0},
};

static inline int set_up(void **state)
{
	(void)state;
	fake_proc_open();
	for (unsigned i = 0; machine[i].pid; i++)
		fake_proc_add(&machine[i]);
	return 0;
}

static inline int tear_down(void **state)
{
	(void)state;
	fake_proc_close();
	return 0;
}

#endif
