# Dataset -> class maps and object tables, one job per month.
rule label:
    input:
        dataset=lambda w: PLAN.path("dataset", source=w.source, period=w.period),
    output:
        PLAN.patterns["labels"],
    log:
        "logs/label/{source}/{label_set}/{period}.log",
    benchmark:
        "logs/label/{source}/{label_set}/{period}.tsv"
    conda:
        "../envs/label.yaml"
    resources:
        **needs("label", "dataset"),
    params:
        key=lambda w: PLAN.key("label", **w),
        labeller=lambda w: PLAN.labeller(w.label_set),
        options=lambda w: PLAN.labeller_options(w.label_set),
    shell:
        "python -m pipeline_lib label --labeller {params.labeller} --options {params.options:q}"
        " --dataset {input:q} --output {output:q} --log {log:q}"
