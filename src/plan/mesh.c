/* The mesh: ranks and their places; tp runs fastest, then cp, dp, pp. */
#include "plan/mesh.h"

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
