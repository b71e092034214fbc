/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "faults/target_parts.h"

#include "faults/target_follow.h"
#include "faults/target_group.h"
#include "faults/target_namespace.h"
#include "injector/base/cleanup.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Places. */

static void drop_places(struct target_places *places)
{
	for (unsigned i = 0; i < places->count; i++)
		free(places->list[i].containers);
	places->count = 0;
}

/* The place of that namespace, new or known; NULL: there are too many. */
static struct target_place *place_of(struct target_places *places, const struct namespace_id *id,
				     const char *name)
{
	struct target_place *place;

	for (unsigned i = 0; i < places->count; i++)
		if (namespace_is_same(&places->list[i].id, id))
			return &places->list[i];
	if (places->count == TARGET_PARTS_MAX)
		return NULL;
	place = &places->list[places->count++];
	*place = (struct target_place){.id = *id};
	snprintf(place->name, sizeof(place->name), "%s", name);
	return place;
}

static int note_container(struct target_place *place, const char *number, const char *name,
			  struct error *err)
{
	char(*grown)[sizeof(*place->containers)] =
		reallocarray(place->containers, place->container_count + 1, sizeof(*grown));
	size_t used = strlen(place->text);

	if (!grown)
		return error_errno(err, ENOMEM, "containers");
	place->containers = grown;
	snprintf(grown[place->container_count++], sizeof(*grown), "%s", number);
	snprintf(place->text + used, sizeof(place->text) - used, "%s%s", used ? ", " : "", name);
	return 0;
}

static int add_place(struct target_places *places, int fd, const char *name,
		     struct target_place **out, struct error *err)
{
	struct namespace_id id;
	int result = namespace_identify(fd, &id, err);

	if (result < 0)
		return result;
	*out = place_of(places, &id, name);
	if (*out)
		return 0;
	error_set(err, E2BIG, "it lives in more than %d network namespaces", TARGET_PARTS_MAX);
	return error_remedy(err, "select fewer, or spread them over several targets and steps");
}

int target_places_add(struct target_places *places, pid_t pid, const char *container,
		      const char *container_name, struct error *err)
{
	struct target_place *place;
	struct error why = ERROR_INIT;
	cleanup_fd int fd = -1;
	char name[32];
	int result = namespace_open_pid(pid, &fd, &why);

	if (result == -ENOENT) /* it has ended */
		return 0;
	if (result < 0) {
		if (err)
			*err = why;
		return result;
	}
	snprintf(name, sizeof(name), "pid:%d", pid);
	result = add_place(places, fd, name, &place, err);
	if (result < 0 || !container)
		return result;
	return note_container(place, container, container_name, err);
}

static int add_named(struct target_places *places, const char *name,
		     const struct target_guard *guard, struct error *err)
{
	static const struct target_namespace_kind network = {"network", namespace_open_pid,
							     namespace_identify};
	struct target_place *place;
	const struct target *found;
	cleanup_fd int fd = -1;
	int result = 0;

	if (strncmp(name, "target:", 7) != 0) {
		result = target_namespace_is_of_process(name)
				 ? target_namespace_open(&network, name, guard, &fd, err)
				 : namespace_open_name(name, &fd, err);
		return result < 0 ? result : add_place(places, fd, name, &place, err);
	}
	/* what is wrong with it is told when it is resolved */
	found = guard && guard->find ? guard->find(guard->context, name + 7) : NULL;
	for (unsigned i = 0;
	     result == 0 && found && found->kind == TARGET_PROCESS && i < found->process_count; i++)
		result = target_places_add(places, found->processes[i].id.pid, NULL, NULL, err);
	return result;
}

static int compare(const void *a, const void *b)
{
	return strverscmp(((const struct target_place *)a)->text,
			  ((const struct target_place *)b)->text);
}

static int find_places(const struct target *whole, const struct target_guard *guard,
		       struct target_places *places, struct error *err)
{
	const struct params *params = &whole->params;
	int result = 0;

	if (!params_is_set(params, TRAFFIC_NAMESPACE)) {
		if (target_group_is_asked(params))
			result = target_group_find_places(whole, guard, places, err);
		/* directories have no order; of containers alone, the others have no texts */
		if (params_is_set(params, TRAFFIC_CONTAINER))
			qsort(places->list, places->count, sizeof(*places->list), compare);
		return result;
	}
	for (unsigned i = 0; result == 0 && i < params_count(params, TRAFFIC_NAMESPACE); i++)
		result = add_named(places, params_value(params, TRAFFIC_NAMESPACE, i)->text, guard,
				   err);
	return result;
}

/* Parts. */

/* By the numbers of its containers, or by the namespace. */
static int narrow(struct target *part, const struct target_place *place, struct error *err)
{
	const unsigned key = place->container_count ? TRAFFIC_CONTAINER : TRAFFIC_NAMESPACE;
	int result = 0;

	params_truncate(&part->params, key, 0);
	params_truncate(&part->params, TRAFFIC_CONTAINER_COUNT, 0); /* that is drawn */
	if (key == TRAFFIC_NAMESPACE)
		return params_add(&part->params, key, place->name, 0, 0, err);
	for (unsigned i = 0; result == 0 && i < place->container_count; i++)
		result = params_add(&part->params, key, place->containers[i], 0, 0, err);
	return result;
}

static int make_part(const struct target *whole, const struct target_place *place,
		     struct target *out, struct error *err)
{
	int result;

	*out = (struct target){.kind = whole->kind,
			       .namespace_fd = -1,
			       .seed = whole->seed,
			       .is_part = true,
			       .part_id = place->id,
			       .may_lack_interfaces = whole->may_lack_interfaces};
	snprintf(out->name, sizeof(out->name), "%s", whole->name);
	snprintf(out->part_text, sizeof(out->part_text), "%s",
		 place->text[0] ? place->text : place->name);
	result = params_copy(&whole->params, &out->params, err);
	if (result == 0)
		result = target_follow_copy(whole, out, err);
	return result < 0 ? result : narrow(out, place, err);
}

/* There may be a hundred thousand addresses. */
static int take_room(const struct target *whole, unsigned count, struct target_room *room,
		     struct error *err)
{
	size_t values, bytes;

	params_measure(&whole->params, &values, &bytes);
	if (values * count > room->values || bytes * count > room->bytes) {
		error_set(err, E2BIG,
			  "%zu values in each of %u network namespaces are more than can be kept",
			  values, count);
		return error_remedy(err, "select fewer, or name networks in place of addresses");
	}
	room->values -= values * count;
	room->bytes -= bytes * count;
	return 0;
}

static int make_parts(const struct target *whole, const struct target_places *places,
		      struct target_room *room, struct target **out_parts, unsigned *out_count,
		      struct error *err)
{
	int result = take_room(whole, places->count, room, err);
	struct target *parts = result < 0 ? NULL : calloc(places->count, sizeof(*parts));

	if (result < 0)
		return result;
	if (!parts)
		return error_errno(err, ENOMEM, "targets");
	for (unsigned i = 0; result == 0 && i < places->count; i++)
		result = make_part(whole, &places->list[i], &parts[i], err);
	if (result < 0) {
		for (unsigned i = 0; i < places->count; i++)
			target_free(&parts[i]);
		free(parts);
		return result;
	}
	*out_parts = parts;
	*out_count = places->count;
	return 0;
}

int target_check_part(const struct target *part, struct error *err)
{
	struct namespace_id id;
	int result = part->is_part ? namespace_identify(part->namespace_fd, &id, err) : 0;

	if (result < 0 || !part->is_part || namespace_is_same(&id, &part->part_id))
		return result;
	error_set(err, EAGAIN, "it has just moved to another network namespace");
	return error_remedy(err, "run it again");
}

int target_split(const struct target *whole, const struct target_guard *guard,
		 struct target_room *inout_room, struct target **out_parts, unsigned *out_count,
		 struct error *err)
{
	struct target_places *places;
	int result;

	*out_parts = NULL;
	*out_count = 0;
	if (whole->kind != TARGET_TRAFFIC)
		return 0;
	places = calloc(1, sizeof(*places));
	if (!places)
		return error_errno(err, ENOMEM, "targets");
	result = find_places(whole, guard, places, err);
	if (result == 0 && places->count > 1)
		result = make_parts(whole, places, inout_room, out_parts, out_count, err);
	drop_places(places);
	free(places);
	if (result < 0 && whole->name[0])
		error_prefix(err, "target '%s'", whole->name);
	return result;
}
