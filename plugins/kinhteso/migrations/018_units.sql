-- Units of every list of communes that a build's changed places reach, and from which day on; filled by the build, like ops.build_cell.
create table if not exists ops.build_unit (
    geography text not null,
    commune_code text not null,
    first_date date not null,
    primary key (geography, commune_code)
);
