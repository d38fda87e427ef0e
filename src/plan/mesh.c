/* The mesh: ranks and their places; tp runs fastest, then cp, dp, pp. And who is in which group. */
#include "plan/mesh.h"

#include <string.h>

yki_mesh yki_mesh_of(const yoke_layout *layout)
{
    yki_mesh mesh = {.degree = {layout->tp, layout->cp, layout->dp, layout->pp}, .nranks = 1};
    for (int axis = 0; axis < YKI_AXIS_COUNT; axis++) mesh.nranks *= mesh.degree[axis];
    return mesh;
}

void yki_mesh_place(const yki_mesh *mesh, int rank, int place[YKI_AXIS_COUNT])
{
    for (int axis = 0; axis < YKI_AXIS_COUNT; axis++) {
        place[axis] = rank % mesh->degree[axis];
        rank /= mesh->degree[axis];
    }
}

int yki_mesh_rank(const yki_mesh *mesh, const int place[YKI_AXIS_COUNT])
{
    int rank = 0;
    for (int axis = YKI_AXIS_COUNT - 1; axis >= 0; axis--) rank = rank * mesh->degree[axis] + place[axis];
    return rank;
}

int yki_mesh_lanes(const yki_mesh *mesh)
{
    return mesh->degree[YKI_AXIS_TP] * mesh->degree[YKI_AXIS_CP];
}

int yki_mesh_lane(const yki_mesh *mesh, const int place[YKI_AXIS_COUNT])
{
    return place[YKI_AXIS_CP] * mesh->degree[YKI_AXIS_TP] + place[YKI_AXIS_TP];
}

const char *const yki_axis_names[YKI_AXIS_COUNT] = {
    [YKI_AXIS_TP] = "tp", [YKI_AXIS_CP] = "cp", [YKI_AXIS_DP] = "dp", [YKI_AXIS_PP] = "pp"};

int yki_group_member(const yki_group *group, const int place[YKI_AXIS_COUNT])
{
    int here = place[group->axis], before = 0;
    if (!group->stages) return here / group->stride % group->size;
    for (int i = 0; i < here; i++) before += group->stages[i];
    return group->stages[here] ? before : -1;
}

int yki_group_first(const yki_mesh *mesh, const yki_group *group, const int place[YKI_AXIS_COUNT])
{
    int member = yki_group_member(group, place), first[YKI_AXIS_COUNT];
    if (member < 0) return -1;
    memcpy(first, place, sizeof first);
    first[group->axis] -= member * group->stride;
    for (int i = 0; group->stages && i < mesh->degree[group->axis]; i++)
        if (group->stages[i]) {
            first[group->axis] = i;
            break;
        }
    return yki_mesh_rank(mesh, first);
}
