{# Members, trained members and hamlets with a team per piece of the lists and time, from the R2 in force on it (KPI §1.9, §1.12). #}
{{ config(tags=['registers'], indexes=[{'columns': ['piece_code']}]) }}

select s.piece_code, s.place_code, s.as_of, f.valid_from, f.valid_to, s.team_members, s.team_members_trained, s.hamlets_with_team
from {{ shared_out(ref('int_teams__in_force'), ['geography', 'unit_code', 'as_of'], ['team_members', 'team_members_trained', 'hamlets_with_team']) }} as s
join {{ ref('int_registers__in_force') }} as f
    on f.dataset = 'teams' and f.geography = s.geography and f.commune_code = s.unit_code and f.as_of = s.as_of and f.piece_code = s.piece_code
