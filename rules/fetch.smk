# Source -> raw files, from the mirror folder or the network. One job per part (month, or the whole source).
rule fetch:
    output:
        PLAN.patterns["raw"],
    log:
        "logs/fetch/{source}/{part}.log",
    benchmark:
        "logs/fetch/{source}/{part}.tsv"
    conda:
        "../envs/fetch.yaml"
    resources:
        mem_mb=2000,
        runtime=120,
    params:
        key=lambda w: PLAN.key("fetch", **w),
        catalog=PLAN.config.catalog,
        mirror=PLAN.mirror_flags,
    shell:
        "python -m pipeline_lib fetch {wildcards.source} --part {wildcards.part}"
        " --catalog {params.catalog:q} {params.mirror:q} --output {output:q} --log {log:q}"
